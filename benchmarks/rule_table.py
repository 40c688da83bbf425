"""Rules on one window of a data set, filled at once, one hour late and at doubled costs, by number of slots: for a rule
with a clock the mean over its phases with the worst phase in brackets. As Markdown.

    python benchmarks/rule_table.py DATASET --from 2025-02-03T00:00Z --to 2025-03-31T23:00Z \
        --rules week carry --slots 2 3 --set strategies.week.caution=0

Each cell is as many backtests as the rule has phases; a percentage per 7 days of the initial capital.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from adapters.commands.hours import hour
from adapters.configuration.settings import ArbSettings, load_settings
from adapters.datasets.load import load_dataset
from adapters.reporting.policy_table import cell
from adapters.research.markets import prepare_dataset, window_of
from adapters.research.phases import at_phases, over_phases
from adapters.research.players import make_player
from adapters.research.playing import play
from engine.analysis.metrics import Metrics
from engine.windows import Window
from engine.worlds import World

LATEST = "2025-03-31T23:00Z"


def worlds_of(world: World[ArbSettings]) -> dict[str, World[ArbSettings]]:
    """The three columns."""
    return {"at once": world, "1 h late": world.late(), "costs x2": world.dearer(2)}


def measured(rule: str, world: World[ArbSettings], window: Window) -> Metrics:
    """Means over phases of one rule with the parameters in force."""
    player = make_player(rule, world.settings.strategies.get(rule, {}))
    return over_phases({phase: play(one, world, window) for phase, one in at_phases(player).items()})


def rows_of(dataset: Path, start: datetime, end: datetime, asked: argparse.Namespace) -> Sequence[str]:
    lines = []
    for slots in asked.slots:
        settings = load_settings(None, [*asked.overrides, f"max_positions={slots}"])
        data = load_dataset(dataset, settings.gate)
        columns = worlds_of(prepare_dataset(data, settings))
        window = window_of(data, start, end)
        for rule in asked.rules:
            found = [measured(rule, world, window) for world in columns.values()]
            at_once = found[0]
            more = (
                f"{at_once['trades']:.1f} | {at_once['avg_trade_hours'] or 0:.0f} | {at_once['max_drawdown_pct']:.2f}"
            )
            lines.append(f"| {rule} | {slots} | {' | '.join(map(cell, found))} | {more} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--from", dest="start", required=True)
    parser.add_argument("--to", dest="end", default=LATEST)
    parser.add_argument("--rules", nargs="+", default=["week", "carry", "basis", "greedy"])
    parser.add_argument("--slots", nargs="+", type=int, default=[2, 3])
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    asked = parser.parse_args()
    start, end = (hour(text) for text in (asked.start, asked.end))
    print("| rule | slots | at once | 1 h late | costs x2 | trades | avg hours | max DD % |")
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(rows_of(asked.dataset, start, end, asked)), flush=True)


if __name__ == "__main__":
    main()
