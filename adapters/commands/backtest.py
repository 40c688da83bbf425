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
    from adapters.research.backtest import BacktestJob, Outcome
    from adapters.research.players import Player
    from adapters.research.playing import Played
    from engine.windows import Window
    from engine.worlds import AnyWorld

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
    from adapters.research.backtest import COMPARISON, BacktestJob, backtest_only, report_inputs, run_strategy
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
    players = _players(chosen, settings, models, seed, allow_other_costs)
    world = prepare_dataset(dataset, settings)
    with new_directory(folder, instead_of=backtest_only) as aside, progress_bar() as bar:
        play = partial(_play, bar=bar)
        inputs = report_inputs(world, hours, play) if report else None
        job = BacktestJob(dataset, world, hours, models, seed, started, play, late, inputs, chosen)
        places = [aside if len(players) == 1 else aside / folder_name(name) for name in chosen]
        outcomes = {one.name: run_strategy(job, one, place) for one, place in zip(players, places, strict=True)}
        if len(players) > 1:
            write_comparison(aside / COMPARISON, {name: one.metrics for name, one in outcomes.items()})
        stories = _write_reports(aside, [folder_name(name) for name in chosen]) if report else []
    _tell(job, outcomes, stories)
    pages = [f"report: {folder / 'report.html'}"] if report else []
    click.echo("\n".join([*pages, f"written to {folder}"]))


def _tell(job: BacktestJob, outcomes: Mapping[str, Outcome], stories: Sequence[Story]) -> None:
    from adapters.reporting.results_table import output_console, print_results
    from adapters.reporting.significance_table import print_significance

    hours = job.window.hours_in(job.dataset.market.hours)
    title = f"{job.dataset.info.name}: {hours}, {hours.hours} h"
    print_results({name: one.metrics for name, one in outcomes.items()}, title=title)
    print_significance({name: one.significance for name, one in outcomes.items()})
    if stories:
        from adapters.reporting.page.terminal import print_stories

        print_stories(stories, console=output_console())
    remarks = [remark for one in outcomes.values() for remark in one.remarks]
    remarks += [f"note: {note}" for note in job.dataset.notes]
    output_console().print("\n".join([*remarks, _costs_in_words(job.world.settings)]), soft_wrap=True, markup=False)


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


def _players(
    names: list[str], settings: ArbSettings, models: tuple[Path, ...], seed: int, allow_other_costs: bool
) -> list[Player]:
    from adapters.configuration.strategy_registry import check_names, load_strategy_class
    from adapters.research.players import make_player
    from engine.errors import UserError

    check_names(settings.strategies)
    needed = max(load_strategy_class(name).policies for name in names)
    if models and not needed:
        raise UserError("--model is given, but none of the strategies plays a trained model")
    policies = _policies(models, settings, allow_other_costs) if needed else ()
    return [
        make_player(
            name, settings.strategies.get(name, {}), seed=[seed, place], policies=policies, may_know_future=True
        )
        for place, name in enumerate(names)
    ]


def _policies(models: tuple[Path, ...], settings: ArbSettings, allow_other_costs: bool) -> tuple[Any, ...]:
    from adapters.storage.bundles import deployed_models, load_policy

    return tuple(
        load_policy(model, settings, allow_other_costs=allow_other_costs) for model in models or deployed_models()
    )


def _play(
    label: str, player: Player, world: AnyWorld, window: Window, *, bar: Callable[[str, int, int], None] | None
) -> Played:
    from adapters.research.playing import hours_shown, play

    return play(player, world, window, progress=hours_shown(bar, label, window.hours))


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
