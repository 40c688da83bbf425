"""An hour of a data set and of a journal: the numbers are the features that a strategy is shown, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_market import START, LegSketch, plain_settings, small_market
from support_paper import arb_settings, dataset_of, replay_state

from adapters.configuration.settings import ArbSettings, load_settings
from adapters.datasets.load import load_dataset
from adapters.paper.dataset_hours import hours_of
from adapters.paper.journal import DATABASE, Journal
from adapters.paper.replay import open_replay
from adapters.paper.setup import prepare_player, session_of
from adapters.research.markets import filtered
from adapters.scan.of_state import state_scene
from adapters.scan.rows import Choice, rows_of
from adapters.scan.scene import DATASET, STATE, Scene, Source
from adapters.scan.sources import dataset_scene, market_scene
from engine.accounting.books import OrderKind, Reason
from engine.accounting.loop import HourlyLoop, order_records
from engine.accounting.tape import prepare
from engine.errors import UserError
from engine.market.data import MarketData, RecordedOpportunities
from engine.observation.features import FEATURES, ON_REQUEST
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import View
from engine.windows import Window, time_of
from strategies.costs import round_trip_bps

pytestmark = pytest.mark.usefixtures("cache_folder")

SAMPLE = Path(__file__).resolve().parents[3] / "data" / "sample"
HOURS = (0, 30, 171, 645, 900, 1439)
"""Rows of the sample: the first, one without a week, one in which a coin has a notice, the last."""
MADE_UP = Source(DATASET, "made-up", "for a test", synthetic=True)
EAGER = {"random": {"enter_probability": 0.8, "exit_probability": 0.05}}


@pytest.fixture(scope="module")
def settings() -> ArbSettings:
    return load_settings(None, ["filters.symbols=[BTCUSDT,PNUTUSDT,MELANIAUSDT,SUIUSDT]"])


@pytest.fixture(scope="module")
def market(settings: ArbSettings) -> MarketData:
    return filtered(load_dataset(SAMPLE, settings.gate, cache=False).market, settings.filters)


@pytest.fixture(scope="module")
def whole(market: MarketData, settings: ArbSettings) -> OpportunityBuilder:
    """All hours of the sample at once, as a backtest has them."""
    return OpportunityBuilder(prepare(market, settings))


def view_of(builder: OpportunityBuilder, row: int) -> View:
    loop = HourlyLoop(builder.tape)
    loop.start(row, row + 1) if row + 1 < builder.tape.hours else loop.resume(builder.tape, row, loop.books)
    return View(loop, builder)


def assert_same(scene: Scene, view: View) -> None:
    """Features, offered pairs and costs, bit for bit."""
    assert scene.view.hour == view.hour
    for name in (*FEATURES, *ON_REQUEST):
        np.testing.assert_array_equal(scene.view.feature(name), view.feature(name), name)
    np.testing.assert_array_equal(scene.view.offered, view.offered)
    np.testing.assert_array_equal(round_trip_bps(scene.view), round_trip_bps(view))


@pytest.mark.parametrize("row", HOURS)
def test_an_hour_of_a_data_set_is_what_a_backtest_shows_there(
    whole: OpportunityBuilder, settings: ArbSettings, row: int
) -> None:
    scene = dataset_scene(SAMPLE, time_of(int(whole.tape.market.hours[row])), settings)
    assert_same(scene, view_of(whole, row))
    assert (scene.source.kind, scene.source.name, scene.source.synthetic) == (DATASET, "sample", True)
    assert scene.seen == scene.time


@pytest.fixture(scope="module")
def state(
    market: MarketData, settings: ArbSettings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, int]]:
    """The folder of a replay that was cut, with positions, and the row that it came to."""
    folder, row = tmp_path_factory.mktemp("state"), 196
    eager = settings.model_copy(update={"strategies": EAGER})
    journal = replay_state(folder, market, eager, "random", Window(185, 400), until=row)
    yield folder, row
    journal.close()


def test_a_journal_gives_the_numbers_of_its_hour_while_somebody_writes(
    state: tuple[Path, int], whole: OpportunityBuilder, settings: ArbSettings
) -> None:
    folder, row = state
    before = (folder / DATABASE).read_bytes()
    scene = state_scene(folder)
    assert (folder / DATABASE).read_bytes() == before
    assert_same(scene, view_of(whole, row))
    assert (scene.source.kind, scene.source.of) == (STATE, "a replay of made-up")
    assert scene.source.synthetic is None
    assert scene.held
    replayed = dataset_scene(SAMPLE, scene.time, settings)
    for mine, its in zip(rows_of(scene, Choice("coin")), rows_of(replayed, Choice("coin")), strict=True):
        if (mine.long.exchange, mine.short.exchange) == (its.long.exchange, its.short.exchange):
            assert mine._replace(offered=its.offered, why_not=its.why_not) == its


def test_what_a_state_holds_is_not_offered_in_either_direction(state: tuple[Path, int]) -> None:
    scene = state_scene(state[0])
    mirror = scene.builder.tape.pairs.mirror
    held = {*scene.held, *(int(mirror[pair]) for pair in scene.held)}
    told = {pair for pair in range(scene.view.pairs) if scene.why_not(pair) == "already_held"}
    assert told == held
    with Journal.open_for_reading(state[0]) as journal:
        snapshot = journal.snapshot()
        assert snapshot is not None
        names = {
            (each["symbol"], each["long_exchange"], each["short_exchange"]) for each in snapshot.report["positions"]
        }
    assert names <= {scene.view.pair_name(pair) for pair in scene.held}


def noted_reasons(scene: Scene, pair: int) -> list[str]:
    """What a run notes when an entry in a pair is ordered at the hour."""
    loop = HourlyLoop(scene.builder.tape)
    loop.resume(scene.builder.tape, scene.row, HourlyLoop(scene.builder.tape).books)
    loop.fill(order_records([(int(OrderKind.ENTER), pair)]))
    return [Reason(int(note["reason"])).name.lower() for note in loop.drain().notes]


def test_a_pair_that_is_not_offered_says_what_an_order_for_it_would_be_told(
    whole: OpportunityBuilder, settings: ArbSettings
) -> None:
    reasons = set()
    busy = settings.model_copy(update={"filters": settings.filters.model_copy(update={"min_volume_24h_usd": 5e7})})
    for row, under in ((10, settings), (751, settings), (770, settings), (1087, busy)):
        scene = dataset_scene(SAMPLE, time_of(int(whole.tape.market.hours[row])), under)
        for pair in range(scene.view.pairs):
            reason = scene.why_not(pair)
            assert (reason is None) == bool(scene.view.offered[pair])
            if reason is not None:
                assert noted_reasons(scene, pair) == [reason]
                reasons.add(reason)
    assert reasons == {"too_young", "stale_leg", "delisting", "filtered"}


def two_legs(**changes: Any) -> MarketData:
    """An exchange that pays 3 bps every 8 h against one that pays nothing, for nine days."""
    legs = {
        ("BTCUSDT", "alpha"): LegSketch(rates=dict.fromkeys(range(0, 216, 8), 0.0), interval=8.0, volume=2e6),
        ("BTCUSDT", "beta"): LegSketch(rates=dict.fromkeys(range(0, 216, 8), 0.0003), interval=8.0, volume=1e6),
    }
    return replace(small_market(legs, 216), **changes)


def test_numbers_by_hand() -> None:
    scene = market_scene(two_legs(), time_of(START + 210), plain_settings(min_history_hours=24), MADE_UP)
    (row,) = rows_of(scene, Choice())
    assert scene.time == time_of(START + 210)
    assert (row.symbol, row.long.exchange, row.short.exchange) == ("BTCUSDT", "alpha", "beta")
    assert row.net_8h_bps == pytest.approx(3)
    assert row.net_day_bps == pytest.approx(9)
    assert row.apr_pct == pytest.approx(9 * 365 / 100)
    assert (row.net_24h_bps_day, row.net_168h_bps_day) == pytest.approx((9, 9))
    assert row.round_trip_bps is not None
    assert row.round_trip_bps == float(round_trip_bps(scene.view)[0])
    assert row.payback_hours == pytest.approx(24 * row.round_trip_bps / 9)
    assert (row.price_gap_bps, row.volume_24h_usd) == (0.0, 1e6)
    assert (row.bid_ask_bps, row.depth_usd, row.long.running_rate_pct) == (None, None, None)
    assert (row.stale_hours, row.offered, row.why_not) == (0, True, None)
    assert row.long.next_settlement == row.short.next_settlement == time_of(START + 216)


def test_a_pair_that_never_pays_back_says_no_hours() -> None:
    legs = {
        ("BTCUSDT", name): LegSketch(rates=dict.fromkeys(range(0, 64, 8), 0.0001), interval=8.0)
        for name in ("alpha", "beta")
    }
    settings = plain_settings(min_history_hours=24)
    (row,) = rows_of(market_scene(small_market(legs, 64), time_of(START + 60), settings, MADE_UP), Choice("payback"))
    assert (row.net_8h_bps, row.payback_hours, row.volume_24h_usd) == (0.0, None, None)


def test_what_is_not_known_yet_is_none_and_never_zero() -> None:
    market = two_legs()
    market.funding_rate[:] = np.nan
    market.price[1] = np.nan
    (row,) = rows_of(market_scene(market, time_of(START + 50), plain_settings(), MADE_UP), Choice())
    unknown = ("net_8h_bps", "net_day_bps", "apr_pct", "payback_hours", "price_gap_bps", "bid_ask_bps", "stale_hours")
    assert {name: getattr(row, name) for name in unknown} == dict.fromkeys(unknown)
    assert (row.why_not, row.offered) == ("stale_leg", False)
    assert (row.long.settled_rate_pct, row.long.next_settlement) == (None, None)
    assert rows_of(market_scene(market, time_of(START + 50), plain_settings(), MADE_UP), Choice(min_apr_pct=-1e9)) == []


def test_a_pair_that_recorded_opportunities_do_not_name_is_none() -> None:
    none = RecordedOpportunities(np.zeros(217, np.int64), np.empty(0, np.int64), np.empty((0, 1)), ("fund_apr",))
    settings = plain_settings(min_history_hours=24)
    (row,) = rows_of(market_scene(two_legs(recorded=none), time_of(START + 210), settings, MADE_UP), Choice())
    assert row.why_not == "no_such_opportunity"


def test_a_folder_without_a_played_hour_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no paper trading state"):
        state_scene(tmp_path)
    market = two_legs()
    player = prepare_player("hold", arb_settings(plain_settings()), (), 0)
    with open_replay(tmp_path / "state", dataset_of(market), market, Window(180, 215), player, ()) as journal:
        session_of(journal, player, excuse_errors=False).remember(list(hours_of(market, 0, 9)))
        with pytest.raises(UserError, match="no hour has been played yet"):
            state_scene(tmp_path / "state")
