"""What was possible at most under each way of filling, as Markdown: the table of hindsight in docs/execution.md.

    python benchmarks/hindsight_table.py DATASET [DATASET ...] [--window validation]

One slot with all capital (exact), and the slots of the settings: what the plan made, and the upper bound. % of capital.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from adapters.configuration.settings import load_settings
from adapters.datasets.load import load_dataset
from adapters.research.markets import prepare_dataset, window_of
from adapters.research.players import make_player
from adapters.research.playing import play

WAYS = {"taker": (), "maker then hedge": ("execution=maker_then_hedge",)}
SLOTS = {"one slot": ("max_positions=1",), "slots of the settings": ()}


def table(path: Path, window: str) -> list[str]:
    """The rows of one data set: P&L in % (trades), and where it is not exact the bound."""
    dataset = load_dataset(path)
    cells: dict[str, list[str]] = {}
    for changes in WAYS.values():
        for hours in (0, 1):
            for slots, more in SLOTS.items():
                settings = load_settings(None, [*changes, *more, f"latency_hours={hours}"])
                builder, span = prepare_dataset(dataset, settings), window_of(dataset, None, None, window)
                for persistent in (False, True):
                    player = make_player("hindsight", {"persistent": persistent}, may_know_future=True)
                    found = play(player, builder, span)
                    bound = 100 * found.marks["bound_usd"] / settings.initial_capital_usd
                    most = "" if slots == "one slot" else f", at most {bound:.2f}"
                    name = f"{slots}{', persistent' if persistent else ''}"
                    cells.setdefault(name, []).append(
                        f"{found.metrics['pnl_pct']:.2f} ({found.metrics['trades']}){most}"
                    )
    heads = [f"{way}{late}" for way in WAYS for late in ("", ", 1 h late")]
    rows = [f"| {name} | {' | '.join(values)} |" for name, values in cells.items()]
    return [f"| {dataset.info.name} | {' | '.join(heads)} |", "|---|" + "---|" * len(heads), *rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--window", default="validation")
    asked = parser.parse_args()
    for path in asked.datasets:
        print("\n".join(table(path, asked.window)), end="\n\n")


if __name__ == "__main__":
    main()
