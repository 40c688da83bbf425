"""The table of docs/execution.md: what each way of filling makes of the rules and the shipped policy, as Markdown.

    python benchmarks/execution_table.py DATASET [DATASET ...] [--window validation] [--model BUNDLE]

Each column is a backtest of its own, with the settings in ``WAYS``. Data sets need high and low (``arb data build``).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from adapters.configuration.settings import load_settings
from adapters.configuration.strategy_registry import build_strategy
from adapters.datasets.load import load_dataset
from adapters.research.markets import prepare_dataset, window_of
from adapters.storage.bundles import deployed_models, load_policy
from engine.accounting.records import Records
from engine.analysis.metrics import compute_metrics
from engine.analysis.resting_orders import noted_resting_orders
from engine.backtest import run_backtest
from strategies.plugin import Context

RULES = ("carry", "greedy", "basis")
WAYS = {
    "taker 2 bps": (),
    "taker, spreads by volume": ("spread_model=volume",),
    "maker then hedge": ("execution=maker_then_hedge",),
    "maker, all turnover ours": ("execution=maker_then_hedge", "maker.volume_share=1"),
}
LATE = ("at once", "1 h late")


def table(path: Path, window: str, model: Path) -> list[str]:
    """The rows of one data set: % in 7 days, trades in brackets, and how many orders at rest were filled."""
    dataset, policy = load_dataset(path), load_policy(model, load_settings())
    cells: dict[str, list[str]] = {}
    for changes in WAYS.values():
        for hours, _ in enumerate(LATE):
            settings = load_settings(None, [*changes, f"latency_hours={hours}"])
            builder, span = prepare_dataset(dataset, settings), window_of(dataset, None, None, window)
            for name in (*RULES, "shipped policy"):
                context = Context(np.random.default_rng(0), (policy,) if name not in RULES else ())
                raw = settings.strategies.get(name, {}) if name in RULES else {}
                strategy = build_strategy(name if name in RULES else "ppo", raw, context)
                records = run_backtest(builder, strategy, span.first, span.last)
                metrics = compute_metrics(records, settings.initial_capital_usd)
                cells.setdefault(name, []).append(
                    f"{metrics['pnl_pct_per_7d']:+.3f} ({metrics['trades']}){_filled(records)}"
                )
    heads = [f"{way}, {late}" for way in WAYS for late in LATE]
    rows = [f"| {name} | {' | '.join(values)} |" for name, values in cells.items()]
    return [f"| {dataset.info.name} | {' | '.join(heads)} |", "|---|" + "---|" * len(heads), *rows]


def _filled(records: Records) -> str:
    rested = noted_resting_orders(records.notes)
    return f", {100 * rested.wholly / rested.orders:.0f} % filled" if rested.orders else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--window", default="validation")
    parser.add_argument("--model", type=Path)
    asked = parser.parse_args()
    for path in asked.datasets:
        print("\n".join(table(path, asked.window, asked.model or deployed_models()[0])), end="\n\n")


if __name__ == "__main__":
    main()
