"""How fast `arb serve` answers, and whether its memory stays: a process of its own, asked over one kept connection.

    python benchmarks/bench_serve.py [--requests 10000]

Prints milliseconds until it answers at all, of `POST /predict` with the shipped policy (median, 99 %), of the pages
and calls that people open most, and its resident memory before and after the requests.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from subprocess import Popen

import numpy as np

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE), *(str(HERE / "tests" / name) for name in ("support", "reference")), str(HERE / "tests")]
PORT = 18642
HEADERS = {"Content-Type": "application/json"}
OFTEN = ("/", "/api/v1/paper/status", "/api/v1/paper/equity", "/api/v1/paper/opportunities", "/metrics")


@contextmanager
def served(folder: Path):  # type: ignore[no-untyped-def]  # a process and a connection
    command = [sys.executable, "-c", "from adapters.cli import main; main()", "serve", "--port", str(PORT)]
    command += ["--state", str(folder / "state"), "--runs", str(folder)]
    started = time.perf_counter()
    with Popen(command, cwd=HERE, env={**os.environ, "PYTHONPATH": str(HERE)}) as process:
        try:
            while True:
                try:
                    connection = HTTPConnection("127.0.0.1", PORT, timeout=60)
                    ask(connection, "GET", "/healthz")
                    break
                except OSError:
                    time.sleep(0.05)
            print(f"answers after {time.perf_counter() - started:.1f} s")
            yield process, connection
        finally:
            process.terminate()


def ask(connection: HTTPConnection, verb: str, path: str, body: bytes | None = None) -> float:
    """Milliseconds until the whole answer was there."""
    began = time.perf_counter()
    connection.request(verb, path, body, HEADERS)
    answer = connection.getresponse()
    content = answer.read()
    assert answer.status == 200, (path, answer.status, content[:300])
    return 1e3 * (time.perf_counter() - began)


def resident(process: Popen[bytes]) -> float:
    """MB."""
    lines = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1e3


def told(name: str, taken: list[float]) -> None:
    print(f"{name:34} median {np.median(taken):6.2f} ms, 99 % {np.percentile(taken, 99):6.2f} ms ({len(taken):,})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    options = parser.parse_args()
    from support_web import played_state

    from adapters.storage.bundles import deployed_models, load_bundle

    policy = load_bundle(deployed_models()[0]).policy
    rows = np.random.default_rng(0).normal(0, 2, (1000, policy.spec.size)).astype(np.float32)
    bodies = [json.dumps({"observation": row.astype(float).tolist()}).encode() for row in rows]
    with tempfile.TemporaryDirectory() as name:
        played_state(Path(name) / "state", until=140)
        with served(Path(name)) as (process, connection):
            for path in OFTEN:
                taken = [ask(connection, "GET", path) for _ in range(51)][1:]
                told(f"GET {path}", taken)
            told("POST /api/v1/predict", [ask(connection, "POST", "/api/v1/predict", body) for body in bodies])
            first = resident(process)
            for k in range(options.requests):
                if k % 2:
                    ask(connection, "GET", OFTEN[k // 2 % len(OFTEN)])
                else:
                    ask(connection, "POST", "/api/v1/predict", bodies[k % len(bodies)])
            last = resident(process)
            print(
                f"resident {first:.0f} MB, after {options.requests:,} more requests {last:.0f} MB ({last - first:+.1f})"
            )


if __name__ == "__main__":
    main()
