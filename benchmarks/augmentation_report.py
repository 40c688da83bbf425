"""What kind of worlds a policy would be trained on: the recorded training hours beside augmented ones, as Markdown.

    python benchmarks/augmentation_report.py DATASET [--window train] [--worlds FILE] [--seeds 0 1 2]

Funding of the pair of each coin that nets most, what is left of it later (beside the medians of 600 scans of 21
exchanges in 2026), how last trades bounce, and what rules and hindsight earn there in % per 7 days, filled at once /
one hour late.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from adapters.configuration.settings import CONFIGS, ArbSettings, load_settings, read_yaml
from adapters.datasets.load import load_dataset
from adapters.research.players import make_player
from adapters.research.playing import play
from engine.market.counterfactual import rows_of
from engine.market.data import MarketData
from engine.settings import parse_settings
from engine.windows import Window
from engine.worlds import World
from rl_training.worlds.augmentation import augmented
from rl_training.worlds.realism import best_pairs, bounce, what_is_left
from rl_training.worlds.settings import WorldsSettings

Markets = Mapping[str, MarketData]
WIDE = {5: (54, 35, 23), 10: (46, 25, 19), 20: (38, 16, 12), 50: (30, 8, 6), 100: (31, 8, 3)}
"""Left of a pair's daily net after 1, 3 and 7 days, median in %, by lowest daily net of the class in bps."""
QUANTILES = (0.5, 0.9, 0.99, 0.999, 1)
PLAYERS = {
    "greedy": ("greedy", {}, False),
    "carry, untuned": (
        "carry",
        {"horizon_hours": 168, "spread_weight": 0, "enter_margin": 1.5, "leave_margin": 0.2},
        False,
    ),
    "basis": ("basis", {}, False),
    "hindsight": ("hindsight", {}, True),
    "hindsight, persistent": ("hindsight", {"persistent": True}, True),
}


def funding_table(markets: Markets) -> list[str]:
    """Quantiles over coins and every eighth hour."""
    lines = [f"| net, bps a day | {' | '.join(f'{q:.1%}' for q in QUANTILES)} |", "|---|" + "---|" * len(QUANTILES)]
    for hours in (24, 168):
        for name, market in markets.items():
            net = best_pairs(market, hours).net[:, ::8]
            cells = [f"{value:.1f}" for value in np.quantile(net[~np.isnan(net)], QUANTILES)]
            lines.append(f"| {name}, {hours} h | {' | '.join(cells)} |")
    return lines


def decay_table(recorded: MarketData, made: list[MarketData]) -> list[str]:
    """Medians in %, and in brackets sum by sum."""
    lines = ["| class, bps | wide | recorded | augmented | coin-days |", "|---|---|---|---|---|"]
    one, other = what_is_left(recorded), what_is_left(*made)
    for floor, wide in WIDE.items():
        cells = [
            " ".join(f"{100 * m:.0f} ({100 * s:.0f})" for m, s in zip(left.median, left.of_sums, strict=True))
            for left in (one[floor], other[floor])
        ]
        days = f"{one[floor].coin_days}, {other[floor].coin_days}"
        lines.append(f"| {floor} | {' '.join(map(str, wide))} | {' | '.join(cells)} | {days} |")
    return lines


def bounce_table(markets: Markets) -> list[str]:
    lines = [
        "| spreads | autocorrelation of hourly changes | deviation, bps | left at the next trade, % | wide hours |",
        "|---|---|---|---|---|",
    ]
    for name, market in markets.items():
        found = bounce(market)
        lines.append(
            f"| {name} | {found.autocorrelation:.2f} | {found.deviation_bps:.1f} | {100 * found.left_at_fill:.0f} "
            f"| {found.wide_hours} |"
        )
    return lines


def earned(name: str, market: MarketData, settings: ArbSettings) -> str:
    """One cell: at once / one hour late (trades at once)."""
    player_name, parameters, knows = PLAYERS[name]
    world = World.of(market, settings)
    window = Window(0, len(market.hours) - 1)
    player = make_player(player_name, parameters, may_know_future=knows)
    runs = [play(player, each, window).metrics for each in (world, world.late())]
    return " / ".join(f"{run['pnl_pct_per_7d']:+.3f}" for run in runs) + f" ({runs[0]['trades']})"


def earnings_rows(markets: Markets, settings: ArbSettings) -> Iterator[str]:
    """One after the other, since each takes minutes."""
    yield f"| % per 7 days | {' | '.join(markets)} |"
    yield "|---|" + "---|" * len(markets)
    for name in PLAYERS:
        yield f"| {name} | {' | '.join(earned(name, market, settings) for market in markets.values())} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--window", default="train")
    parser.add_argument("--worlds", type=Path, default=CONFIGS / "worlds.yaml")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    asked = parser.parse_args()
    settings = load_settings(None, asked.overrides)
    drawn = parse_settings(WorldsSettings, read_yaml(asked.worlds), origin=str(asked.worlds))
    dataset = load_dataset(asked.dataset, settings.gate)
    span = dataset.market.window(*dataset.window(asked.window))
    recorded = rows_of(dataset.market, span.first, span.last + 1)
    made = {
        f"seed {seed}": augmented(recorded, drawn.augmentation, np.random.default_rng(seed), settings.gate.rate_cap)
        for seed in asked.seeds
    }
    markets = {"recorded": recorded, **made}
    for table in (funding_table(markets), decay_table(recorded, list(made.values())), bounce_table(markets)):
        print("\n".join(table), end="\n\n", flush=True)
    for row in earnings_rows(markets, settings):
        print(row, flush=True)


if __name__ == "__main__":
    main()
