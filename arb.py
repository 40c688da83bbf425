"""The Python API, for notebooks and scripts: a market, a player on it, an environment in it.

    import arb

    market = arb.open_market("data/sample", slippage_bps=5)
    run = arb.play("carry", market, window="test")
    print(run.metrics.T, run.report())

What cannot be done as asked raises ``engine.errors.UserError``, whose message says what to do instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from adapters.configuration.settings import ArbSettings, load_settings
from adapters.configuration.strategy_registry import build_from_class, checked_class
from adapters.datasets.load import Dataset, load_dataset
from adapters.research.backtest import RUN_NAMES
from adapters.research.dearer_costs import under_other_spreads, with_other_spread
from adapters.research.manifest import build_manifest
from adapters.research.markets import prepare_dataset, window_of
from adapters.research.players import Player, Ready, make_player, models_for, policy_player, with_slots_of
from adapters.research.playing import Played
from adapters.research.playing import play as play_window
from adapters.storage import bundles
from adapters.storage.atomic import new_directory
from adapters.storage.giving_way import unfamiliar, unsigned
from adapters.storage.run_files import equity_frame, ledger_frame, trades_frame, write_run
from engine.analysis.metrics import Metrics
from engine.errors import UserError, shown
from engine.observation.encoding import fit_scaler
from engine.windows import Window
from engine.worlds import World
from strategies.plugin import Context, Policy

if TYPE_CHECKING:
    from rl_training.environments.gym_env import FundingArbitrageEnv

__all__ = ["Market", "Run", "environment", "load_policy", "open_market", "play"]

WRITTEN_BY = "arb.play"

Span = str | tuple[datetime | str, datetime | str] | None
"""A named window; first and last hour, inclusive, as times or as text like 2025-02-03T00:00Z; None: all of the data."""


@dataclass(frozen=True, eq=False)
class Market:
    """A data set under one set of rules, prepared to be played on any number of times."""

    dataset: Dataset = field(repr=False)
    settings: ArbSettings = field(repr=False)
    world: World[ArbSettings] = field(repr=False)

    @cached_property
    def _other_spreads(self) -> World[ArbSettings]:
        return under_other_spreads(self.world)

    def __repr__(self) -> str:
        info = self.dataset.info
        return f"Market({info.name}: {len(self.dataset.market.symbols)} coins on {', '.join(info.exchanges)})"

    def rows(self, window: Span) -> Window:
        """The rows of a span of hours. Raises ``UserError`` for one that the data does not have."""
        if window is None or isinstance(window, str):
            return window_of(self.dataset, None, None, window)
        start, end = window
        return window_of(self.dataset, _time(start), _time(end))


@dataclass(frozen=True, eq=False)
class Run:
    """What came of a strategy on a market: the tables of a backtest's folder as frames, money in USD."""

    strategy: str
    metrics: pd.DataFrame
    """One row, indexed by the strategy: runs are compared by ``pd.concat``. nan where a metric has no value.

    The P&L under the model of spreads that the market was not opened with is among them, as in ``arb backtest``.
    """
    trades: pd.DataFrame = field(repr=False)
    equity: pd.DataFrame = field(repr=False)
    ledger: pd.DataFrame = field(repr=False)
    _made_from: _MadeFrom = field(repr=False)

    def report(self, folder: Path | str | None = None) -> Path:
        """Write the folder of the run (default: runs/python-TIME) with its ``report.html``; returns the page.

        Raises ``UserError`` when something else stands there than an earlier report of this kind.
        """
        from adapters.reporting.page.write import write_reports

        now = self._made_from.started
        # With microseconds: a script may write many reports in a second.
        place = Path(folder) if folder is not None else Path("runs") / f"python-{now:%Y%m%dT%H%M%S%fZ}"
        with new_directory(place, instead_of=_own_run) as aside:
            self._made_from.write(self.strategy, aside)
            write_reports(aside)
        return place / "report.html"


@dataclass(frozen=True, eq=False)
class _MadeFrom:
    """What the files of a run are made of."""

    market: Market
    played: Played
    metrics: Metrics
    seed: int
    started: datetime

    def write(self, name: str, folder: Path) -> None:
        played = self.played
        manifest = build_manifest(
            played.world.settings, self.market.dataset, written_by=WRITTEN_BY, seed=self.seed, started=self.started,
            strategy=name, **played.marks,
        )  # fmt: skip
        write_run(folder, played.records, played.world.tape, self.metrics, manifest)


def open_market(path: Path | str, **settings: Any) -> Market:
    """A data set with the shipped settings and these over them, named as for ``--set``.

    ``slippage_bps=5``; ``margin={"transfer_hours": 2}`` or ``**{"margin.transfer_hours": 2}`` for what stands under a
    heading. Raises ``UserError`` (``SettingsError``, ``DataError``) for a setting or data that cannot be used.
    """
    # Through the parser of --set, so that both accept and refuse the same.
    chosen = load_settings(None, [f"{key}={json.dumps(value)}" for key, value in _flat(settings)])
    dataset = load_dataset(Path(path), chosen.gate)
    return Market(dataset, chosen, prepare_dataset(dataset, chosen))


def play(
    strategy: str | type | Policy,
    market: Market,
    window: Span = None,
    *,
    parameters: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Run:
    """Backtest a strategy: a name ("carry", "./mine.py:MyRule"), a class, or a policy of ``load_policy``.

    A class has ``decide(view)``; with ``Parameters`` it is made from these and a ``Context`` as strategies/plugin.py
    says, without it is called with nothing. ``parameters`` go over those of the settings. Raises ``UserError`` for
    what is no strategy, for wrong parameters, and like the strategy itself.
    """
    started, rows = datetime.now(UTC), market.rows(window)
    player, settings = _player(strategy, market.settings, dict(parameters or {}), seed)
    played = play_window(player, market.world.under(settings), rows)
    # A trained model may have brought another number of slots.
    crossed = market._other_spreads
    crossed = crossed.under(settings.model_copy(update={"spread_model": crossed.settings.spread_model}))
    metrics, _ = with_other_spread(played, crossed, rows, lambda _, *run: play_window(*run))
    records, tape, name = played.records, played.world.tape, player.name
    return Run(
        strategy=name,
        metrics=pd.DataFrame([metrics], index=[name], dtype=float),
        trades=trades_frame(records, tape),
        equity=equity_frame(records, tape),
        ledger=ledger_frame(records, tape),
        _made_from=_MadeFrom(market, played, metrics, seed, started),
    )


def environment(market: Market, window: Span = "train") -> FundingArbitrageEnv:
    """A gymnasium environment on random episodes of a window; ``PPO("MlpPolicy", environment(market)).learn(10_000)``.

    Episodes and rewards are those of ``training`` in the market's settings; what is observed is standardised by a
    scaler fitted on the window. Raises ``UserError`` when the window is absent or has no opportunity.
    """
    from rl_training.environments.episodes import TrainingMarket
    from rl_training.environments.gym_env import FundingArbitrageEnv

    rows, spec, training = market.rows(window), market.settings.observation, market.settings.training
    scaler = fit_scaler(market.world, spec, rows.first, rows.last)
    hours = TrainingMarket.over(market.world, spec, scaler, rows.first, rows.last)
    return FundingArbitrageEnv(hours, episode=training.episode, reward=training.reward)


def load_policy(path: Path | str) -> Policy:
    """The trained policy of a bundle, of the folder of a training, or of a zip beside its bundle.

    Raises ``BundleError`` when it is not whole. Whether it fits a market is checked when it is played.
    """
    return bundles.read_model(Path(path)).policy


def _player(
    strategy: str | type | Policy, settings: ArbSettings, parameters: dict[str, Any], seed: int
) -> tuple[Player, ArbSettings]:
    """Who plays, and the settings with the parameters that it plays with."""
    if isinstance(strategy, Policy):
        settings = with_slots_of(settings, [strategy])
        # A policy is loaded before the market is known, so whether its costs and layout fit is asked here.
        bundles.check_policy(strategy, settings, strategy.name)
        return policy_player(strategy), settings
    if isinstance(strategy, str):
        # Put into the settings, so that the manifest states what was really played.
        own = {**settings.strategies.get(strategy, {}), **parameters}
        settings = settings.model_copy(update={"strategies": {**settings.strategies, strategy: own}})
        settings, policies, _ = models_for([strategy], settings, (), allow_other_costs=False)
        return make_player(strategy, own, seed=[seed, 0], policies=policies, may_know_future=True), settings
    name = getattr(strategy, "__qualname__", shown(strategy))
    if isinstance(strategy, type) and not hasattr(strategy, "Parameters") and hasattr(strategy, "decide"):
        return Player(name, lambda world, _: Ready(strategy(), world)), settings
    checked = checked_class(name, strategy)

    def make(world: World[ArbSettings], _: Window) -> Ready:
        # Anew, for it is played more than once and may remember.
        return Ready(build_from_class(name, checked, parameters, Context(np.random.default_rng([seed, 0]))), world)

    return Player(name, make), settings


def _flat(settings: Mapping[str, Any], heading: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{heading}{key}.")
        else:
            yield heading + key, value


def _time(value: datetime | str) -> datetime:
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise UserError(f"{shown(value)} is not a time; write it like 2025-01-31T23:00Z") from None
    # Python would take it for local time, and play other hours on another machine.
    if time.tzinfo is None:
        raise UserError(f"{shown(value)} has no time zone; write it as UTC, like 2025-01-31T23:00Z")
    return time.astimezone(UTC)


def _own_run(folder: Path) -> str | None:
    return unsigned(folder / "manifest.json", WRITTEN_BY) or unfamiliar(folder, RUN_NAMES)
