"""``arb backtest`` from what was asked to a folder of results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

from adapters.configuration.settings import ArbSettings, load_settings
from adapters.configuration.strategy_registry import check_names
from adapters.datasets.load import Dataset, load_dataset, load_pieces
from adapters.gate.limits import GateSettings
from adapters.research.backtest import (
    BacktestJob,
    Outcome,
    backtest_only,
    report_inputs,
    run_strategy,
    where_nothing_rests,
)
from adapters.research.dearer_costs import under_other_spreads
from adapters.research.markets import prepare_dataset, window_of
from adapters.research.phases import require_clock
from adapters.research.players import Player, models_for, players_named
from adapters.research.playing import Bar, Played, hours_shown, play
from adapters.storage.atomic import new_directory
from adapters.storage.giving_way import check_place
from adapters.storage.run_files import folder_name, write_comparison
from adapters.storage.run_names import COMPARISON
from engine.errors import UserError
from engine.windows import Window
from engine.worlds import AnyWorld
from strategies.policy import Policy

SAMPLE = Path("data/sample")
Page = TypeVar("Page")


@dataclass(frozen=True)
class BacktestRequest:
    """The options of ``arb backtest``; what is None was not given."""

    names: Sequence[str]
    data: Path | None
    opportunities: Path | None
    price_history: Path | None
    start: datetime | None
    end: datetime | None
    window: str | None
    config: Path | None
    overrides: Sequence[str]
    models: Sequence[Path]
    allow_other_costs: bool
    late: bool
    phases: bool
    report: bool
    seed: int
    out: Path | None


@dataclass(frozen=True, eq=False)
class BacktestResult(Generic[Page]):
    """What was played, what came of each strategy, what the reports say, and where everything lies."""

    job: BacktestJob
    outcomes: Mapping[str, Outcome]
    pages: Sequence[Page]
    folder: Path


def backtest(
    asked: BacktestRequest,
    write_reports: Callable[[Path, Sequence[str]], Sequence[Page]],
    *,
    bar: Bar | None,
    note: Callable[[str], None],
) -> BacktestResult[Page]:
    """Play every strategy and write its folder. ``note`` hears what is odd about the data before anything is played.

    ``write_reports`` is called with the finished folder and the order of its runs, when reports are asked for.
    """
    started = datetime.now(UTC)
    settings = load_settings(asked.config, asked.overrides)
    check_names(settings.strategies)
    settings, policies, _ = models_for(asked.names, settings, asked.models, allow_other_costs=asked.allow_other_costs)
    folder = asked.out or Path("runs") / f"backtest-{started:%Y%m%dT%H%M%SZ}"
    # Before data is loaded and played: a folder that may not give way is refused at once.
    check_place(folder, backtest_only)
    dataset = _load(asked, settings.gate)
    for line in dataset.notes:
        note(line)
    window = window_of(dataset, asked.start, asked.end, asked.window)
    players = _players(asked, settings, policies)
    world = prepare_dataset(dataset, settings)

    def shown(label: str, player: Player, where: AnyWorld, rows: Window) -> Played:
        return play(player, where, rows, progress=hours_shown(bar, label, rows.hours))

    with new_directory(folder, instead_of=backtest_only) as aside:
        inputs = report_inputs(world, window, shown) if asked.report else None
        job = BacktestJob(
            dataset=dataset, world=world, window=window, models=asked.models, seed=asked.seed, started=started,
            play=shown, late=asked.late, phases=asked.phases, inputs=inputs, names=asked.names,
            other_spreads=under_other_spreads(world), takers=where_nothing_rests(world),
        )  # fmt: skip
        places = [aside if len(players) == 1 else aside / folder_name(one.name) for one in players]
        outcomes = {one.name: run_strategy(job, one, place) for one, place in zip(players, places, strict=True)}
        if len(players) > 1:
            write_comparison(aside / COMPARISON, {name: one.metrics for name, one in outcomes.items()})
        pages = write_reports(aside, [folder_name(name) for name in asked.names]) if asked.report else []
    return BacktestResult(job, outcomes, pages, folder)


def _load(asked: BacktestRequest, gate: GateSettings) -> Dataset:
    if asked.price_history is None and asked.opportunities is None:
        return load_dataset(asked.data or SAMPLE, gate)
    if asked.data is not None:
        raise UserError("give either --data or --price-history (with --opportunities), not both")
    if asked.price_history is None:
        raise UserError("--opportunities needs --price-history: fills use the price history")
    return load_pieces(asked.opportunities, asked.price_history, gate)


def _players(asked: BacktestRequest, settings: ArbSettings, policies: Sequence[Policy]) -> list[Player]:
    players = players_named(asked.names, settings, asked.seed, policies, may_know_future=True)
    if asked.phases:
        require_clock(players)
    return players
