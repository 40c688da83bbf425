"""A live scan against the loopback server: the numbers are those that the paper hour sees, on all eight exchanges."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loopback.faults import Rule
from loopback.server import LoopbackServer
from loopback.world import EXCHANGES, HOUR_MS
from support_absurd import spoilt
from support_exchanges import settings_of, world_of
from support_live import SYMBOLS, live_settings, trader

from adapters.configuration.settings import ArbSettings
from adapters.paper.settings import PaperConfig, PaperSettings
from adapters.scan.rows import Choice, figures_of, rows_of
from adapters.scan.scene import Scene
from adapters.scan.sources import live_scenes
from engine.errors import UserError
from engine.observation.features import FEATURES
from engine.observation.view import View
from strategies.costs import round_trip_bps

SETTINGS = live_settings()


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """Ten days of two coins on every exchange."""
    with LoopbackServer(world_of(10, coins=("BTC", "ETH"))) as running:
        yield running


class Noted:
    """A strategy in cash that keeps what it was shown at the last hour."""

    def __init__(self) -> None:
        self.features: dict[str, Any] = {}
        self.offered: Any = None
        self.cost: Any = None
        self.hour = 0

    def decide(self, view: View) -> tuple[()]:
        self.features = {name: view.feature(name).copy() for name in FEATURES}
        self.offered, self.cost, self.hour = view.offered.copy(), round_trip_bps(view), view.hour
        return ()


def live(server: LoopbackServer, *exchanges: str, settings: ArbSettings = SETTINGS) -> Any:
    reached = settings_of(server, *exchanges)
    config = PaperConfig(PaperSettings(symbols=SYMBOLS), settings, reached)
    return live_scenes(config, reached, server.world.clock)


def assert_seen(scene: Scene, noted: Noted) -> None:
    """Every number of the scan from what the strategy was shown, by the definitions of ``PairNow``."""
    of, index = noted.features, {scene.view.pair_name(pair): pair for pair in range(scene.view.pairs)}
    assert scene.view.hour == noted.hour
    rows = rows_of(scene, Choice())
    assert [row.symbol for row in sorted(rows)] == list(SYMBOLS)
    for row in rows:
        pair = index[row.symbol, row.long.exchange, row.short.exchange]
        assert row.net_8h_bps == 100 * of["fund_profit_8h"][pair]
        assert row.apr_pct == of["fund_apr"][pair]
        assert row.net_24h_bps_day == of["net_funding_24h_bps"][pair]
        assert row.net_168h_bps_day == of["net_funding_168h_bps"][pair]
        assert row.round_trip_bps == noted.cost[pair]
        assert row.price_gap_bps == 1e4 * of["spread"][pair]
        assert row.bid_ask_bps == 100 * of["bidAskSpreadPercent"][pair]
        assert (row.depth_usd, row.volume_24h_usd) == (of["orderbookDepthUsd"][pair], of["volume_24h"][pair])
        assert row.long.settled_rate_pct == of["long_funding_rate"][pair]
        assert row.short.interval_hours == 8 * of["short_interval_8h"][pair]
        assert row.offered
        same_coin = [p for (symbol, *_), p in index.items() if symbol == row.symbol and noted.offered[p]]
        assert row.apr_pct == max(of["fund_apr"][same_coin])


def test_a_live_scan_of_all_exchanges_is_what_the_paper_hour_sees(server: LoopbackServer, tmp_path: Path) -> None:
    noted = Noted()
    with trader(tmp_path, server, strategy="hold", exchanges=EXCHANGES) as paper:
        paper.session._strategy = noted
        paper.trading.run()
        with live(server, *EXCHANGES) as look:
            scene = look()
        for name, values in noted.features.items():
            np.testing.assert_array_equal(scene.view.feature(name), values, name)
        np.testing.assert_array_equal(scene.view.offered, noted.offered)
        assert scene.view.pairs == 2 * 8 * 7
        assert scene.events == ()
        assert_seen(scene, noted)
        # Hours that paper trading saw as quotes are bars to who comes later: what is told of a pair is the same.
        for _ in range(3):
            paper.hour()
        with live(server, *EXCHANGES) as look:
            assert_seen(look(), noted)


def test_an_hour_is_looked_at_anew_each_time_and_booked_when_it_is_over(server: LoopbackServer) -> None:
    with live(server, "bybit", "hyperliquid", "okx") as look:
        first = look()
        again = look()
        for name, values in figures_of(first.view).items():
            np.testing.assert_array_equal(figures_of(again.view)[name], values, name)
        server.world.now_ms += HOUR_MS // 2
        later = look()
        assert later.time == first.time
        assert (later.seen - first.seen).total_seconds() == 1800
        assert (figures_of(later.view)["price_gap_bps"] != figures_of(first.view)["price_gap_bps"]).any()
        server.world.now_ms += 2 * HOUR_MS
        assert (look().time - first.time).total_seconds() == 2 * 3600
        server.world.now_ms -= 3 * HOUR_MS
        with pytest.raises(UserError, match="later than now"):
            look()


def test_what_one_look_does_not_believe_is_told_by_the_next_one_too(server: LoopbackServer) -> None:
    server.faults.rules.append(spoilt("bybit", "tickers", "interval", lambda _: 480.0))
    with live(server, "bybit", "hyperliquid", "okx") as look:
        first, again = look(), look()
    assert first.events
    assert again.events == first.events
    for name, values in figures_of(first.view).items():
        np.testing.assert_array_equal(figures_of(again.view)[name], values, name)


def test_an_exchange_that_fails_is_named_and_its_legs_are_stale(server: LoopbackServer) -> None:
    with live(server, "bybit", "hyperliquid", "okx") as look:
        look()
        server.faults.rules.append(Rule("http500", "okx"))
        scene = look()
    assert any(event.startswith("okx: ") for event in scene.events)
    rows = rows_of(scene, Choice(exchanges=("okx", "bybit")))
    assert {row.why_not for row in rows} == {"stale_leg"}
    assert {row.stale_hours for row in rows} == {1}
    assert all(row.offered for row in rows_of(scene, Choice()))


def test_rates_and_settlements_are_those_of_the_exchange(server: LoopbackServer) -> None:
    now = server.world.now_ms
    with live(server, "bybit", "hyperliquid") as look:
        scene = look()
    for row in rows_of(scene, Choice()):
        for leg in (row.long, row.short):
            held = server.world.legs[leg.exchange, row.symbol[:-4]]
            assert leg.settled_rate_pct == 100 * held.settled(now)[-1][1]
            assert leg.next_settlement is not None
            assert leg.next_settlement.timestamp() == 3600 * held.next_settlement(now)
            assert leg.interval_hours == held.interval(scene.view.hour)
            assert leg.running_rate_pct is not None
