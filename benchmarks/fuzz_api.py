"""Requests of every kind that the API's description allows, and many that it does not: for minutes without a 5xx.

    python benchmarks/fuzz_api.py --minutes 5 --seed 1

Schemathesis makes them from the OpenAPI description and asks the application itself, over a state that is being traded
and a shipped policy. A 503 is an answer only where nothing can be read.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE), *(str(HERE / "tests" / name) for name in ("support", "reference")), str(HERE / "tests")]

EXAMPLES = 25
"""Of every operation in a round; rounds are repeated with other seeds until the time is up."""


def application(folder: Path) -> Any:
    """The service over a state with positions and the policy that is shipped."""
    from support_web import played_state

    from adapters.storage.bundles import DEPLOYED
    from adapters.web.app import create_app
    from adapters.web.serving import Serving

    played_state(folder / "state", until=140)
    return create_app(Serving(folder / "state", folder, DEPLOYED, older_api=True))


def ask(operation: Any, mode: str, seed: int, counts: Counter[tuple[str, int]]) -> None:
    """One round of an operation. Raises ``AssertionError`` with the request that was answered by a 5xx."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis.errors import Unsatisfiable

    @seeded(seed)
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate], derandomize=False,
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode)))
    def one(case: Any) -> None:
        answer = case.call(headers={"host": "127.0.0.1", **(case.headers or {})})
        counts[(operation.label, answer.status_code)] += 1
        assert answer.status_code < 500, f"{case.as_curl_command()} -> {answer.status_code} {answer.text[:300]}"

    try:
        one()
    except Unsatisfiable:
        # A call without a parameter cannot be asked wrongly.
        assert mode == "negative", operation.label


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    import schemathesis

    warnings.simplefilter("ignore")
    counts: Counter[tuple[str, int]] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        schema = schemathesis.openapi.from_asgi(
            "/openapi.json", application(Path(folder)), headers={"host": "127.0.0.1"}
        )
        found = [one.ok() for one in schema.get_all_operations()]
        # A stream has no end, and nothing of it is made from what is sent.
        operations = [one for one in found if not one.path.endswith("/events")]
        ends, seed = time.monotonic() + 60 * options.minutes, options.seed
        while time.monotonic() < ends:
            for operation in operations:
                for mode in ("positive", "negative"):
                    ask(operation, mode, seed, counts)
            seed += 1
    for (label, code), count in sorted(counts.items()):
        print(f"{label:45} {code} {count:>7,}")
    print(f"{sum(counts.values()):,} requests, none answered by a 5xx")


if __name__ == "__main__":
    main()
