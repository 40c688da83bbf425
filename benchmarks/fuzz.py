"""Mutated inputs of every kind, for minutes: what is accepted must be right, what is refused must be told in one line.

    python benchmarks/fuzz.py                                     every campaign, five minutes in all
    python benchmarks/fuzz.py --campaign journals --cases 2000    one kind, so many cases, however long it takes
    python benchmarks/fuzz.py --campaign journals --seed 3 --case 17    one case again

Cases are seeded: the same seed and number give the same input. Exit code 1 when anything is wrong.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from fuzzing.campaign import OUTCOMES, PEACEFUL, Campaign, Tally, campaigns, run  # noqa: E402  # found by the line above

HEADS = {"wrong": "accepted-but-wrong", "traceback": "tracebacks", "hang": "hangs", "outside": "files outside"}
FAILURES_SHOWN = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--campaign", action="append", help="a kind; may be repeated; default: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, help="cases of each kind, instead of a time")
    parser.add_argument("--case", type=int, help="this one case of the seed alone")
    parser.add_argument("--minutes", type=float, default=5.0, help="for all kinds together; default 5")
    given = parser.parse_args()
    chosen = chosen_campaigns(given.campaign)
    tallies = {one.name: tally_of(one, given, len(chosen)) for one in chosen}
    print("\n".join(table(tallies)))
    failures = [failure for tally in tallies.values() for failure in tally.failures]
    for failure in failures[:FAILURES_SHOWN]:
        print(f"\n{failure}")
    return 1 if failures else 0


def chosen_campaigns(names: Sequence[str] | None) -> list[Campaign]:
    """The campaigns of those names. Raises ``SystemExit`` for one that there is not."""
    known = {one.name: one for one in campaigns()}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise SystemExit(f"no campaign {unknown[0]!r}; there are {', '.join(known)}")
    return [known[name] for name in names or known]


def tally_of(campaign: Campaign, given: argparse.Namespace, kinds: int) -> Tally:
    """Cases by number, or as many as fit into this kind's part of the time."""
    if given.case is not None:
        return run(campaign, 1, given.seed, first=given.case)
    if given.cases is not None:
        return run(campaign, given.cases, given.seed)
    return run(campaign, 10**9, given.seed, until=time.monotonic() + 60 * given.minutes / kinds)


def table(tallies: dict[str, Tally]) -> list[str]:
    """A row for each kind and their sums."""
    heads = ["kind", "cases", *(HEADS.get(name, name) for name in OUTCOMES), "seconds", "longest"]
    rows = [
        [name, *_counts([tally]), f"{tally.seconds:.0f}", f"{tally.longest:.1f}"] for name, tally in tallies.items()
    ]
    every = list(tallies.values())
    rows.append(["all", *_counts(every), f"{sum(one.seconds for one in every):.0f}", ""])
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in [heads, *rows]]
    wrong = sum(tally.counts[name] for tally in every for name in OUTCOMES if name not in PEACEFUL)
    return [*lines, "", f"{'FAIL' if wrong else 'ok'}: {wrong} of {sum(one.cases for one in every)} cases went wrong"]


def _counts(tallies: Sequence[Tally]) -> list[str]:
    numbers = [sum(one.cases for one in tallies), *(sum(one.counts[name] for one in tallies) for name in OUTCOMES)]
    return [str(number) for number in numbers]


if __name__ == "__main__":
    sys.exit(main())
