"""Paper trading states for tests: replays of markets with any strategy, and what a backtest makes of the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from adapters.configuration.settings import ArbSettings
from adapters.datasets.layout import DatasetInfo
from adapters.datasets.load import Dataset
from adapters.paper.journal import Journal
from adapters.paper.replay import open_replay, replay
from adapters.paper.setup import Player, prepare_player, session_of
from engine.accounting.records import Records
from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.market.data import MarketData
from engine.observation.opportunities import OpportunityBuilder
from engine.settings import EngineSettings
from engine.windows import Window, time_of


def dataset_of(market: MarketData, name: str = "made-up") -> Dataset:
    """A market as a data set that was never on disk."""
    info = DatasetInfo(
        name=name,
        source="test",
        exchanges=market.exchanges,
        first_hour=time_of(int(market.hours[0])),
        last_hour=time_of(int(market.hours[-1])),
        how_made="for a test",
    )
    return Dataset(Path(name), info, market, {}, f"fingerprint of {name}")


def arb_settings(settings: EngineSettings, **strategies: Any) -> ArbSettings:
    """Engine settings with parameters of strategies."""
    return ArbSettings(**settings.model_dump(), strategies=strategies)


def replay_state(
    folder: Path, market: MarketData, settings: ArbSettings, strategy: str, window: Window, *, until: int | None = None
) -> Journal:
    """The state of a replay of the window (``until``: the row after which it was cut), open for writing."""
    player = prepare_player(strategy, settings, (), 7)
    journal = open_replay(folder, dataset_of(market), market, window, player, ())
    try:
        session = session_of(journal, player, excuse_errors=False)
        if until is None:
            replay(session, market, window.first, window.last)
        else:
            cut_replay(session, market, window, until)
    except BaseException:
        journal.close()
        raise
    return journal


def cut_replay(session: Any, market: MarketData, window: Window, until: int) -> None:
    """Play up to row ``until`` and stop there, as if the process had ended."""

    class EnoughError(Exception):
        pass

    done = session.hour

    def stop(_: int) -> None:
        nonlocal done
        if session.hour is not None and session.hour != done and session.hour - int(market.hours[0]) >= until:
            raise EnoughError

    try:
        replay(session, market, window.first, window.last, progress=stop)
    except EnoughError:
        return


def backtest_of(market: MarketData, settings: ArbSettings, strategy: str, window: Window) -> Records:
    """The backtest of the same window by the same strategy."""
    player: Player = prepare_player(strategy, settings, (), 7)
    return run_backtest(OpportunityBuilder(prepare(market, settings)), player.strategy, window.first, window.last)


def assert_same_records(found: Records, wanted: Records) -> None:
    """Bit for bit, counters included."""
    for name in ("ledger", "trades", "notes", "hours"):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        assert len(ours) == len(theirs), name
        for field in theirs.dtype.names:
            np.testing.assert_array_equal(ours[field], theirs[field], f"{name}.{field}")
            np.testing.assert_array_equal(np.signbit(ours[field]), np.signbit(theirs[field]), f"{name}.{field}: signs")
    for name in ("missing_settlements", "fills_at_last_trade", "stale_hours"):
        assert getattr(found, name) == getattr(wanted, name), name
