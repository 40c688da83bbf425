"""How long the look-ahead audit takes: fifty cuts of the sample data set, a minute being what a person waits for.

python benchmarks/bench_audit.py [DATASET] [--strategy carry] [--cuts 50]
"""

from __future__ import annotations

import argparse
import sys
import time

from adapters.cli import main as arb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", nargs="?", default="data/sample")
    parser.add_argument("--strategy", default="carry")
    parser.add_argument("--cuts", type=int, default=50)
    options = parser.parse_args()
    begun = time.perf_counter()
    try:
        arb(["audit", "--strategy", options.strategy, "--data", options.dataset, "--cuts", str(options.cuts)])
    except SystemExit as ended:
        if ended.code:
            sys.exit(f"the audit ended with {ended.code}")
    print(f"{options.cuts} cuts: {time.perf_counter() - begun:.1f} s")


if __name__ == "__main__":
    main()
