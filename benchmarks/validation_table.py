"""The tables of README: every strategy on one window, filled at once, one hour late, at doubled costs, and at the last
trade (which invents profit), then how much of it may be luck, as Markdown.

    python benchmarks/validation_table.py DATASET [--window validation] [--models NAME=PATH ...]

Each column is a backtest of its own, as `arb backtest` runs it with the settings in the head.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from adapters.configuration.settings import ArbSettings, load_settings
from adapters.configuration.strategy_registry import build_strategy
from adapters.datasets.load import Dataset, load_dataset
from adapters.reporting.model_card_luck import SCENARIOS, luck_table
from adapters.research.markets import prepare_dataset, window_of
from adapters.research.significance import trials_behind
from adapters.storage.bundles import load_policy
from engine.analysis.metrics import Metrics, compute_metrics
from engine.analysis.significance import NO_RECORD, Significance, Trials, returns_of, significance
from engine.backtest import run_backtest
from strategies.plugin import Context

RULES = ("hold", "random", "greedy", "carry", "basis")
UNTUNED_CARRY = {"horizon_hours": 168, "spread_weight": 0, "enter_margin": 1.5, "leave_margin": 0.2}
COLUMNS = {
    "at once": (),
    "1 h late": ("latency_hours=1",),
    "costs x2": ("cost_multiple=2",),
    "at the last trade": ("fill_at=last_trade",),
}


def results_of(
    dataset: Dataset, window: str, overrides: tuple[str, ...], models: dict[str, Path]
) -> dict[str, tuple[Metrics, Significance]]:
    """Metrics of every strategy under the overridden settings, and what they are worth."""
    settings = load_settings(None, overrides)
    builder = prepare_dataset(dataset, settings)
    hours = window_of(dataset, None, None, window)
    results = {}
    for name, strategy in strategies_of(settings, models).items():
        records = run_backtest(builder, strategy, hours.first, hours.last)
        trials, without = behind(name, settings, models)
        returns = returns_of(records, settings.initial_capital_usd)
        worth = significance(returns, settings.significance, trials, without=without)
        results[name] = compute_metrics(records, settings.initial_capital_usd), worth
    return results


def behind(name: str, settings: ArbSettings, models: dict[str, Path]) -> tuple[Trials | None, str]:
    """The record of what a strategy was chosen from, or why there is none."""
    if name in models:
        return trials_behind("ppo", settings, [models[name]])
    return trials_behind(name, settings) if name in RULES else (None, NO_RECORD)


def strategies_of(settings: ArbSettings, models: dict[str, Path]) -> dict[str, object]:
    """Rules with their shipped parameters, the carry rule untuned, and the models."""

    def context(*policies: object) -> Context:
        return Context(np.random.default_rng(0), policies)  # type: ignore[arg-type]  # policies of load_policy

    built: dict[str, object] = {
        name: build_strategy(name, settings.strategies.get(name, {}), context()) for name in RULES
    }
    built["carry, untuned"] = build_strategy("carry", UNTUNED_CARRY, context())
    for name, path in models.items():
        built[name] = build_strategy("ppo", {}, context(load_policy(path, settings)))
    return built


def cell(value: float | int | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--window", default="validation")
    parser.add_argument("--models", nargs="*", default=[], metavar="NAME=PATH")
    asked = parser.parse_args()
    models = {name: Path(path) for name, _, path in (text.partition("=") for text in asked.models)}
    dataset = load_dataset(asked.dataset)
    columns = {head: results_of(dataset, asked.window, overrides, models) for head, overrides in COLUMNS.items()}
    print_results({head: {name: metrics for name, (metrics, _) in rows.items()} for head, rows in columns.items()})
    print()
    luck = {name: {head: columns[head][name][1] for head in SCENARIOS} for name in columns["at once"]}
    print("\n".join(luck_table(luck)))


def print_results(columns: dict[str, dict[str, Metrics]]) -> None:
    print(f"| % per 7 days | {' | '.join(columns)} | Sharpe | trades | win % | avg hours | max DD % |")
    print("|---|" + "---|" * (len(columns) + 5))
    for name, base in columns["at once"].items():
        values = [cell(metrics[name]["pnl_pct_per_7d"], "{:+.3f}") for metrics in columns.values()]
        more = [
            cell(base["sharpe"], "{:.2f}"),
            cell(base["trades"], "{}"),
            cell(base["win_rate_pct"], "{:.0f}"),
            cell(base["avg_trade_hours"], "{:.0f}"),
            cell(base["max_drawdown_pct"], "{:.2f}"),
        ]
        print(f"| {name} | {' | '.join(values)} | {' | '.join(more)} |")


if __name__ == "__main__":
    main()
