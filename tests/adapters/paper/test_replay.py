"""The whole paper path over a data set gives the backtest's records bit for bit, cut or not."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from market_strategies import (
    random_maker,
    random_market,
    random_settings,
    resting,
    with_bars,
    with_books,
    with_instruments,
    with_margin,
    with_shocks,
)
from support_paper import arb_settings, assert_same_records, backtest_of, replay_state

from adapters.datasets.instruments import rows_of
from adapters.datasets.load import load_dataset
from adapters.paper.journal import DATABASE, Journal
from adapters.paper.recorded_run import records_of
from adapters.paper.setup import REPLAY, check_unchanged, legs_market, prepare_player, settings_of, start_state
from adapters.paper.verify import verify
from engine.accounting.books import NoteKind
from engine.accounting.records import Records
from engine.errors import UserError
from engine.market.data import MarketData, RecordedOpportunities, directed_pairs, select
from engine.windows import Window

EAGER = {"random": {"enter_probability": 0.4, "exit_probability": 0.2}}
SAMPLE = Path(__file__).parents[3] / "data" / "sample"


def journalled(journal: Journal, market: MarketData) -> Records:
    return records_of(journal, int(market.hours[0]))


@pytest.mark.parametrize("seed", range(8))
def test_random_markets_replay_to_the_same_records(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    market = random_market(rng, 2, 3, 150)
    settings = arb_settings(random_settings(rng), **EAGER)
    window = Window(int(rng.integers(0, 30)), 149)
    wanted = backtest_of(market, settings, "random", window)
    with replay_state(tmp_path, market, settings, "random", window) as journal:
        assert_same_records(journalled(journal, market), wanted)
        assert len(wanted.ledger) + len(wanted.notes) > 20
        assert verify(journal, prepare_player("random", settings, (), 7)).difference is None


@pytest.mark.parametrize("seed", range(4))
def test_margin_by_exchange_replays_to_the_same_records_also_when_cut(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    market = with_shocks(rng, random_market(rng, 2, 3, 150))
    given = with_margin(rng, random_settings(rng), market, always=True).model_copy(update={"leverage": 3.0})
    settings, window = arb_settings(given, **EAGER), Window(int(rng.integers(0, 30)), 149)
    wanted = backtest_of(market, settings, "random", window)
    for until in (60, 61, 90):
        replay_state(tmp_path, market, settings, "random", window, until=until).close()
    with replay_state(tmp_path, market, settings, "random", window) as journal:
        assert_same_records(journalled(journal, market), wanted)
        assert verify(journal, prepare_player("random", settings, (), 7)).difference is None
    assert len(wanted.ledger)


@pytest.mark.parametrize("seed", range(3))
def test_lots_and_minima_replay_to_the_same_records_also_when_cut(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    given = random_settings(rng)
    plain = random_market(rng, 2, 3, 150)
    market = with_instruments(rng, plain, near_usd=given.initial_capital_usd / 10)
    settings, window = arb_settings(given, **EAGER), Window(int(rng.integers(0, 30)), 149)
    wanted = backtest_of(market, settings, "random", window)
    assert wanted.ledger.tobytes() != backtest_of(plain, settings, "random", window).ledger.tobytes()
    replay_state(tmp_path, market, settings, "random", window, until=60).close()
    with replay_state(tmp_path, market, settings, "random", window) as journal:
        assert_same_records(journalled(journal, market), wanted)
        assert verify(journal, prepare_player("random", settings, (), 7)).difference is None


@pytest.mark.parametrize("seed", range(6))
def test_orders_that_rest_replay_to_the_same_records_also_when_cut(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    given = resting(random_settings(rng), random_maker(rng)).model_copy(update={"fill_at": "next_trade"})
    market = with_bars(rng, random_market(rng, 2, 3, 150))
    if seed % 2:
        near = {"offset_bps": 2.0, "through_bps": 1.0, "volume_share": 1.0}
        given = resting(given, given.maker.model_copy(update=near))
        market = with_instruments(rng, market, near_usd=given.initial_capital_usd / 10)
    settings, window = arb_settings(given, **EAGER), Window(int(rng.integers(0, 30)), 149)
    wanted = backtest_of(market, settings, "random", window)
    became = wanted.notes["reason"][wanted.notes["kind"] == int(NoteKind.RESTED)]
    assert len(set(became.tolist())) >= 2  # some were filled, some were not
    for until in (60, 61, 90):
        replay_state(tmp_path, market, settings, "random", window, until=until).close()
    with replay_state(tmp_path, market, settings, "random", window) as journal:
        assert_same_records(journalled(journal, market), wanted)
        assert verify(journal, prepare_player("random", settings, (), 7)).difference is None


@pytest.mark.parametrize("seed", range(6))
def test_order_books_replay_to_the_same_records_also_when_cut(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    given = random_settings(rng).model_copy(update={"fill_at": "next_trade"})
    plain = random_market(rng, 2, 3, 150)
    if seed % 2:
        given, plain = resting(given, random_maker(rng)), with_bars(rng, plain)
    market = with_books(rng, plain, near_usd=given.initial_capital_usd / 10)
    settings, window = arb_settings(given, **EAGER), Window(int(rng.integers(0, 30)), 149)
    wanted = backtest_of(market, settings, "random", window)
    assert wanted.ledger.tobytes() != backtest_of(plain, settings, "random", window).ledger.tobytes()
    for until in (60, 61, 90):
        replay_state(tmp_path, market, settings, "random", window, until=until).close()
    with replay_state(tmp_path, market, settings, "random", window) as journal:
        assert_same_records(journalled(journal, market), wanted)
        assert verify(journal, prepare_player("random", settings, (), 7)).difference is None
        assert market.order_books is not None
        ((kept,),) = journal.rows("SELECT count(*) FROM order_books")
        assert 0 < kept < len(market.order_books)  # those that fills can have walked


def test_takers_need_no_extremes_and_keep_none(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    market, settings = with_bars(rng, random_market(rng, 2, 3, 40)), arb_settings(random_settings(rng), **EAGER)
    with replay_state(tmp_path, market, settings, "random", Window(5, 39)) as journal:
        assert journal.rows("SELECT count(*) FROM extremes") == [(0,)]


def test_a_state_knows_the_rules_of_orders_that_it_began_with(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    plain = random_market(rng, 2, 3, 20)
    player = prepare_player("hold", arb_settings(random_settings(rng)), (), 7)
    for name, market in (("plain", plain), ("lots", with_instruments(rng, plain, near_usd=100.0))):
        with start_state(tmp_path / name, market, player, (), mode=REPLAY) as journal:
            assert repr(rows_of(legs_market(journal))) == repr(rows_of(market))
            assert bool(rows_of(market)) == ("instruments" in journal.meta)


@pytest.mark.parametrize(
    ("strategy", "latency", "parameters"),
    [
        ("carry", 0, {"enter_margin": 0.1, "leave_margin": 0.0}),
        ("basis", 2, {"enter_margin": 0.2, "keep_margin": 0.1}),
        ("random", 1, EAGER["random"]),
    ],
)
def test_the_sample_replays_to_the_same_records(
    strategy: str, latency: int, parameters: dict[str, float], tmp_path: Path
) -> None:
    market = select(load_dataset(SAMPLE).market, symbols=["BTCUSDT", "KAITOUSDT", "ENAUSDT"])
    settings = arb_settings(_shipped(latency), **{strategy: parameters})
    window = Window(280, 500)
    wanted = backtest_of(market, settings, strategy, window)
    assert len(wanted.trades) > 2
    with replay_state(tmp_path, market, settings, strategy, window) as journal:
        assert_same_records(journalled(journal, market), wanted)


def test_the_shipped_policy_replays_to_the_same_records(tmp_path: Path) -> None:
    market = select(load_dataset(SAMPLE).market, symbols=["KAITOUSDT", "ENAUSDT", "MOODENGUSDT"])
    # As many slots as the shipped policy has.
    settings = arb_settings(_shipped(0).model_copy(update={"max_positions": 2}))
    window = Window(100, 400)
    with replay_state(tmp_path, market, settings, "ppo", window) as journal:
        assert_same_records(journalled(journal, market), backtest_of(market, settings, "ppo", window))
        assert verify(journal, prepare_player("ppo", settings, (), 7)).difference is None


def _shipped(latency: int):  # type: ignore[no-untyped-def]  # the engine part of the shipped settings
    from adapters.configuration.settings import load_settings
    from engine.settings import EngineSettings

    shipped = load_settings(None, [f"latency_hours={latency}"]).model_dump(include=set(EngineSettings.model_fields))
    return EngineSettings(**shipped)


@pytest.mark.trap(26)
def test_trap_26_a_replay_that_was_cut_goes_on_without_losing_or_repeating(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    market = random_market(rng, 2, 3, 420)
    settings = arb_settings(random_settings(rng), **EAGER)
    window = Window(20, 419)
    for until in (19, 20, 21, 60, 300, 301, 418):
        replay_state(tmp_path, market, settings, "random", window, until=until).close()
    with replay_state(tmp_path, market, settings, "random", window) as journal:
        assert_same_records(journalled(journal, market), backtest_of(market, settings, "random", window))
        hours = [hour for (hour,) in journal.rows("SELECT hour FROM slots ORDER BY hour")]
        assert hours == market.hours.tolist()
        assert journal.rows("SELECT DISTINCT status FROM slots ORDER BY 1") == [("closed",), ("history",), ("ok",)]


def test_recorded_opportunities_replay_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    market = random_market(rng, 1, 3, 120)
    pairs = len(directed_pairs(market))
    present = rng.random((120, pairs)) < 0.6
    rows = int(present.sum())
    recorded = RecordedOpportunities(
        np.concatenate(([0], np.cumsum(present.sum(axis=1)))).astype(np.int64),
        np.nonzero(present)[1].astype(np.int64),
        np.where(rng.random((rows, 2)) < 0.2, np.nan, rng.normal(0, 30, (rows, 2))),
        ("fund_apr", "volume_24h"),
    )
    market = MarketData(**{**market.__dict__, "recorded": recorded})
    settings = arb_settings(random_settings(rng), **EAGER, greedy={})
    window = Window(5, 119)
    for strategy in ("random", "greedy"):
        wanted = backtest_of(market, settings, strategy, window)
        with replay_state(tmp_path / strategy, market, settings, strategy, window) as journal:
            assert_same_records(journalled(journal, market), wanted)
            assert verify(journal, prepare_player(strategy, settings, (), 7)).difference is None


def test_a_state_goes_on_only_as_it_began(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    market, settings = random_market(rng, 1, 2, 40), arb_settings(random_settings(rng), **EAGER)
    window = Window(0, 39)
    replay_state(tmp_path, market, settings, "random", window, until=10).close()
    with pytest.raises(UserError, match="another strategy"):
        replay_state(tmp_path, market, settings, "hold", window)
    other = settings.model_copy(update={"slippage_bps": 77.0})
    with pytest.raises(UserError, match="other settings"):
        replay_state(tmp_path, market, other, "random", window)
    with pytest.raises(UserError, match="other hours"):
        replay_state(tmp_path, market, settings, "random", Window(0, 30))


def test_a_state_from_before_there_were_resting_orders_goes_on(tmp_path: Path) -> None:
    rng, window = np.random.default_rng(1), Window(0, 39)
    market, settings = random_market(rng, 1, 2, 40), arb_settings(random_settings(rng), **EAGER)
    with replay_state(tmp_path / "old", market, settings, "random", window, until=10) as journal:
        meta = journal.meta
    stored = {name: value for name, value in meta["settings"].items() if name not in ("execution", "maker")}
    # Rows of fees had no tiers then, and there was no table of spreads.
    fees = {
        name: [{key: row[key] for key in row if key != "tier"} for row in rows]
        for name, rows in stored.pop("fees").items()
    }
    older = {"settings": {**stored, "fees": fees, "liquidity": "taker"}}
    assert settings_of({**meta, **older}) == settings_of(meta)
    check_unchanged(tmp_path, older, {"settings": meta["settings"]})


def test_a_journal_without_a_table_of_extremes_is_read_and_goes_on(tmp_path: Path) -> None:
    rng, window = np.random.default_rng(1), Window(0, 39)
    market, settings = random_market(rng, 1, 2, 40), arb_settings(random_settings(rng), **EAGER)
    replay_state(tmp_path, market, settings, "random", window, until=10).close()
    with sqlite3.connect(tmp_path / DATABASE) as database:
        database.execute("DROP TABLE extremes")
        database.execute("DROP TABLE order_books")
    database.close()
    with Journal.open_for_reading(tmp_path) as journal:
        assert [(facts.extremes, facts.books) for facts in journal.facts(0, 2**40)] == [(None, ())] * 11
    with replay_state(tmp_path, market, settings, "random", window) as journal:
        assert_same_records(journalled(journal, market), backtest_of(market, settings, "random", window))
        assert journal.rows("SELECT count(*) FROM extremes") == [(0,)]


def test_a_row_in_the_table_of_spreads_ends_only_states_that_read_it(tmp_path: Path) -> None:
    rng, window = np.random.default_rng(1), Window(0, 39)
    market, drawn = random_market(rng, 1, 2, 40), arb_settings(random_settings(rng), **EAGER)
    tables = [{"elsewhere": [{"since": "2024-03-01", "half_spread": [{"from_usd": 0, "bps": bps}]}]} for bps in (5, 9)]
    for model in ("fixed", "volume"):
        one, other = (
            type(drawn).model_validate({**drawn.model_dump(), "spread_model": model, "spreads": table})
            for table in tables
        )
        replay_state(tmp_path / model, market, one, "random", window, until=10).close()
        if model == "fixed":
            replay_state(tmp_path / model, market, other, "random", window).close()
        else:
            with pytest.raises(UserError, match="other settings"):
                replay_state(tmp_path / model, market, other, "random", window)


@pytest.mark.trap(26)
def test_trap_26_two_processes_cannot_have_one_state_open(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    market, settings = random_market(rng, 1, 2, 40), arb_settings(random_settings(rng), **EAGER)
    with replay_state(tmp_path, market, settings, "random", Window(0, 39), until=5):
        with pytest.raises(UserError, match="in use by another"):
            Journal.open_for_writing(tmp_path)
        with Journal.open_for_reading(tmp_path) as beside:
            assert beside.last_hour == int(market.hours[5])
    Journal.open_for_writing(tmp_path).close()
