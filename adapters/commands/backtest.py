"""``arb backtest``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adapters.commands.hours import hour
from adapters.commands.progress import progress_bar
from adapters.commands.seeds import SEED
from adapters.commands.strategy_names import strategy_names

if TYPE_CHECKING:
    from adapters.configuration.settings import ArbSettings
    from adapters.datasets.load import Dataset
    from adapters.gate.limits import GateSettings
    from adapters.reporting.page.terminal import Story
    from adapters.research.backtest import Outcome, Stage
    from adapters.research.players import Entrant, MakeEntrant
    from engine.accounting.records import Records
    from engine.windows import Window

SAMPLE = Path("data/sample")


@click.command(name="backtest")
@click.option("--strategy", "names", default="ppo", show_default=True, help="Names, comma-separated, or module:Class.")
@click.option("--data", type=click.Path(path_type=Path), help=f"Data set or folder of older files. [default: {SAMPLE}]")
@click.option("--opportunities", type=click.Path(path_type=Path), help="Older opportunities file (CSV or parquet).")
@click.option("--price-history", type=click.Path(path_type=Path), help="Folder of older price files.")
@click.option("--from", "start", type=hour, help="First hour, like 2025-02-03T00:00Z; default: of the data.")
@click.option("--to", "end", type=hour, help="Last hour, inclusive; default: of the data.")
@click.option("--window", help="A named window of the data set (train, validation, test) instead of --from and --to.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML over the shipped ones.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@click.option("--model", "models", multiple=True, type=click.Path(path_type=Path), help="Bundle or zip; repeatable.")
@click.option("--allow-other-costs", is_flag=True, help="Run a model under other fees than it was trained with.")
@click.option("--late", is_flag=True, help="Also fill everything one hour later, to see whether the P&L lasts.")
@click.option("--report/--no-report", default=True, show_default=True, help="Write report.html and what it needs.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of strategies that draw random numbers.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for results; default: runs/backtest-TIME.")
def command(
    names: str,
    data: Path | None,
    opportunities: Path | None,
    price_history: Path | None,
    start: datetime | None,
    end: datetime | None,
    window: str | None,
    config: Path | None,
    overrides: tuple[str, ...],
    models: tuple[Path, ...],
    allow_other_costs: bool,
    late: bool,
    report: bool,
    seed: int,
    out: Path | None,
) -> None:
    """Replay a data set through strategies, print one table, and write what happened.

    The folder gets metrics.json, trades.csv, ledger.parquet, equity.parquet, manifest.json, significance.json (how
    much may be luck) and notes.csv (orders that were refused), one folder a strategy when there are several.
    report.html shows all of it beside the rules, both hindsight optima and dearer costs, which are played for it
    (references.parquet, references.json, cost_stress.json, entries.csv); with several strategies another one
    compares them.

    \b
    Examples:
      arb backtest --strategy carry --data data/sample
      arb backtest --strategy ppo,carry,hold --data data/sample --window test --set slippage_bps=5
      arb backtest --strategy carry,hindsight --data data/sample --late
      arb backtest --strategy my_rules:MyRule --data data/sample --out runs/mine
    """
    from adapters.configuration.settings import load_settings
    from adapters.research.backtest import COMPARISON, Stage, backtest_only, perform, played_beside
    from adapters.research.markets import prepare_dataset, window_of
    from adapters.storage.atomic import new_directory
    from adapters.storage.giving_way import check_place
    from adapters.storage.run_files import folder_name, write_comparison

    started = datetime.now(UTC)
    chosen = strategy_names(names)
    settings = load_settings(config, overrides)
    folder = out or Path("runs") / f"backtest-{started:%Y%m%dT%H%M%SZ}"
    check_place(folder, backtest_only)
    dataset = _load(data, opportunities, price_history, settings.gate)
    for note in dataset.notes:
        click.echo(f"note: {note}", err=True)
    hours = window_of(dataset, start, end, window)
    fresh = _fresh_makers(chosen, settings, models, seed, allow_other_costs)
    makers = {name: fresh(name) for name in chosen}
    builder = prepare_dataset(dataset, settings)
    with new_directory(folder, instead_of=backtest_only) as aside, progress_bar() as bar:
        play = partial(_run, hours=hours, bar=bar)
        beside = played_beside(builder, settings, hours, play) if report else None
        stage = Stage(dataset, builder, settings, hours, models, seed, started, fresh, play, late, beside, chosen)
        places = {name: aside if len(makers) == 1 else aside / folder_name(name) for name in makers}
        outcomes = {name: perform(stage, name, make, places[name]) for name, make in makers.items()}
        if len(makers) > 1:
            write_comparison(aside / COMPARISON, {name: one.metrics for name, one in outcomes.items()})
        stories = _write_reports(aside, [folder_name(name) for name in chosen]) if report else []
    _tell(stage, outcomes, stories)
    pages = [f"report: {folder / 'report.html'}"] if report else []
    click.echo("\n".join([*pages, f"written to {folder}"]))


def _tell(stage: Stage, outcomes: Mapping[str, Outcome], stories: Sequence[Story]) -> None:
    from adapters.reporting.results_table import output_console, print_results
    from adapters.reporting.significance_table import print_significance

    first, last = stage.span
    title = f"{stage.dataset.info.name}: {first:%Y-%m-%dT%H:%MZ} to {last:%Y-%m-%dT%H:%MZ}, {stage.hours.hours} h"
    print_results({name: one.metrics for name, one in outcomes.items()}, title=title)
    print_significance({name: one.significance for name, one in outcomes.items()})
    if stories:
        from adapters.reporting.page.terminal import print_stories

        print_stories(stories, console=output_console())
    remarks = [remark for one in outcomes.values() for remark in one.remarks]
    remarks += [f"note: {note}" for note in stage.dataset.notes]
    output_console().print("\n".join([*remarks, _costs_in_words(stage.settings)]), soft_wrap=True, markup=False)


def _load(data: Path | None, opportunities: Path | None, price_history: Path | None, gate: GateSettings) -> Dataset:
    from adapters.datasets.load import load_dataset, load_pieces
    from engine.errors import UserError

    if price_history is None and opportunities is None:
        return load_dataset(data or SAMPLE, gate)
    if data is not None:
        raise UserError("give either --data or --price-history (with --opportunities), not both")
    if price_history is None:
        raise UserError("--opportunities needs --price-history: fills use the price history")
    return load_pieces(opportunities, price_history, gate)


def _fresh_makers(
    names: list[str], settings: ArbSettings, models: tuple[Path, ...], seed: int, allow_other_costs: bool
) -> Callable[[str], MakeEntrant]:
    """A function that makes a strategy anew, with the random numbers of the first time."""
    import numpy as np

    from adapters.configuration.strategy_registry import check_names, load_strategy_class
    from adapters.research.players import entrant_maker
    from engine.errors import UserError
    from strategies.plugin import Context

    check_names(settings.strategies)
    needed = max(load_strategy_class(name).policies for name in names)
    if models and not needed:
        raise UserError("--model is given, but none of the strategies plays a trained model")
    policies = _policies(models, settings, allow_other_costs) if needed else ()

    def fresh(name: str) -> MakeEntrant:
        rng = np.random.default_rng([seed, names.index(name)])
        return entrant_maker(name, settings, Context(rng, policies))

    return fresh


def _policies(models: tuple[Path, ...], settings: ArbSettings, allow_other_costs: bool) -> tuple[Any, ...]:
    from adapters.storage.bundles import deployed_models, load_policy

    return tuple(
        load_policy(model, settings, allow_other_costs=allow_other_costs) for model in models or deployed_models()
    )


def _run(label: str, entrant: Entrant, hours: Window, bar: Callable[[str, int, int], None] | None) -> Records:
    from engine.backtest import run_backtest

    done = 0

    def progress(more: int) -> None:
        nonlocal done
        done += more
        if bar:
            bar(label, done, hours.hours)

    return run_backtest(entrant.builder, entrant.strategy, hours.first, hours.last, progress=progress)


def _write_reports(folder: Path, order: Sequence[str]) -> list[Story]:
    """``report.html`` of every run in the folder, and one that compares them; returns what they say in short."""
    from adapters.reporting.page.write import write_reports

    return write_reports(folder, order)


def _costs_in_words(settings: ArbSettings) -> str:
    late = f", filled {settings.latency_hours} h late" if settings.latency_hours else ""
    phantom = " AT THE LAST TRADE (invents profit)" if settings.fill_at == "last_trade" else ""
    return (
        f"costs: {settings.liquidity} fees (table {settings.cost_table_hash()}), {settings.slippage_bps:g} bps "
        f"slippage a fill{late}{phantom}; capital {settings.initial_capital_usd:,.0f} USD, "
        f"{settings.max_positions} positions"
    )
