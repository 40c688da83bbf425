"""Ten days of paper trading in which every tenth answer of an exchange has one absurd field.

    make soak                                    after the simulated month
    python benchmarks/absurd_answers.py --hours 240 --share 0.1

Both runs hold one position; one of them sees NaN, 0, negative values, sixty times and a milliard times a value, or
another coin's, in rates, marks, index and last prices, bids, asks, intervals, times and candles. Final equity must be
within 0.5 %, everything that was believed must be what the exchanges had, and the backtester must agree with the
journal. Exit code 1 when anything fails. ``tests/adapters/paper/test_gate.py`` does the same for two days.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

LIMIT = 0.005
SHOWN = 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=int, default=240)
    parser.add_argument("--coins", default="BTC,ETH,SOL")
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=5)
    given = parser.parse_args()
    from support_absurd import beside

    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = beside(Path(folder), given.hours, given.coins.split(","), share=given.share, seed=given.seed)
    told = ", ".join(f"{name} {count}" for name, count in sorted(found.refused.items()))
    print(f"{given.hours} hours twice in {time.monotonic() - began:.0f} s, {found.spoilt} absurd answers")
    print(f"refused: {told}; {found.other_events} other events")
    print(f"equity {found.right_usd:,.2f} and {found.absurd_usd:,.2f} USD: {100 * found.apart:.3f} % apart")
    for problem in found.problems[:SHOWN]:
        print(f"FAIL {problem}")
    failed = bool(found.problems) or found.apart > LIMIT
    print("FAIL" if failed else "ok   nothing absurd was believed")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
