"""``arb data fetch``: raw tables on disk, complete, resumable, and what it says about what is missing."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from loopback.faults import Rule
from loopback.server import LoopbackServer
from loopback.world import HOUR_MS
from support_cli import arb
from support_exchanges import held_bars, held_settlements, world_of
from support_imports import candles, rates_of, write

from adapters.cli import main
from adapters.datasets.instruments import read_instruments, rows_of
from adapters.datasets.layout import read_info
from adapters.datasets.load import load_dataset
from adapters.datasets.raw_tables import FUNDING_COLUMNS, PRICE_COLUMNS, read_bars, read_settlements
from adapters.exchanges.ranking import rank
from engine.windows import hour_of

COINS = ("BTC", "ETH", "PEPE", "SOL")
ALL = "BTCUSDT,ETHUSDT,PEPEUSDT,SOLUSDT"
WORLD = {"days": 20, "coins": COINS}


class Fetch:
    """Runs the command against the server and keeps what it said."""

    def __init__(self, server: LoopbackServer, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.server, self.raw, self._capsys = server, folder / "raw", capsys
        self.config = folder / "config.yaml"
        values = {"exchanges": server.exchanges(), "collection": {"retry_wait_seconds": 0}}
        self.config.write_text(yaml.safe_dump(values), encoding="utf-8")

    def __call__(self, exchanges: str, symbols: str = ALL, *, days: int = 10, **options: str) -> int:
        now = self.server.world.now_ms
        words = ["data", "fetch", "--exchanges", exchanges, "--symbols", symbols, "--config", str(self.config)]
        words += ["--since", written(now // HOUR_MS * HOUR_MS - days * 24 * HOUR_MS), "--now", written(now)]
        words += ["--out", str(self.raw)]
        for name, value in options.items():
            words += [f"--{name}", value]
        with pytest.raises(SystemExit) as ended:
            main(words)
        self.out, self.err = self._capsys.readouterr()
        return int(ended.value.code or 0)

    @property
    def report(self) -> dict:
        return json.loads((self.raw / "fetch_report.json").read_text(encoding="utf-8"))

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.raw / name)


def written(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat()


@pytest.fixture
def fetch(server: LoopbackServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Fetch:
    return Fetch(server, tmp_path, capsys)


def test_the_tables_hold_what_the_server_holds(fetch: Fetch) -> None:
    assert fetch("binanceusdm,okx,hyperliquid") == 0
    prices, funding = fetch.table("prices_1h.parquet"), fetch.table("funding.parquet")
    assert tuple(prices.columns) == PRICE_COLUMNS
    assert tuple(funding.columns) == FUNDING_COLUMNS
    world = fetch.server.world
    until = world.now_ms // HOUR_MS * HOUR_MS
    since = until - 240 * HOUR_MS
    for (exchange, coin), leg in world.legs.items():
        if exchange not in ("binanceusdm", "okx", "hyperliquid"):
            continue
        mine = prices[(prices.exchange == exchange) & (prices.base == coin)]
        bars = held_bars(leg, world.now_ms, since, until)
        assert mine.multiplier.unique().tolist() == [leg.multiplier]
        assert mine.timestamp.astype("int64").tolist() == [row[0] for row in bars]
        assert mine[["open", "high", "low", "close"]].to_numpy().tolist() == [list(row[1:5]) for row in bars]
        assert mine.volume.tolist() == pytest.approx([row[5] for row in bars], rel=1e-12)
        paid = funding[(funding.exchange == exchange) & (funding.base == coin)]
        held = held_settlements(leg, world.now_ms, since, until)
        stamps = paid.settlement_time.astype("int64").tolist()
        assert list(zip(stamps, paid.funding_rate, strict=True)) == held
        assert paid.interval_hours.tolist()[1:] == [(b[0] - a[0]) / HOUR_MS for a, b in pairwise(held)]


def test_build_reads_what_fetch_writes(fetch: Fetch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch("gate,kucoinfutures") == 0
    bars, settlements = read_bars(fetch.raw / "prices_1h.parquet"), read_settlements(fetch.raw / "funding.parquet")
    assert set(bars.coin) == set(settlements.coin) == set(ALL.split(","))
    for (exchange, coin), leg in fetch.server.world.legs.items():
        mine = bars[(bars.exchange == exchange) & (bars.coin == f"{coin}USDT")]
        if len(mine):
            row = leg.bars[mine.opened_hour.iloc[-1] - leg.first_hour]
            assert mine.volume_usd.iloc[-1] == pytest.approx(row[4] * row[3] * leg.contract_size)
    with pytest.raises(SystemExit) as ended:
        main(["data", "build", str(fetch.raw), "--out", str(tmp_path / "set")])
    capsys.readouterr()
    assert ended.value.code == 0


def test_a_second_run_asks_for_nothing_and_changes_no_byte(fetch: Fetch) -> None:
    assert fetch("bybit,bitget") == 0
    first = {path.name: path.read_bytes() for path in fetch.raw.glob("*.*")}
    before = fetch.server.requests.copy()
    assert fetch("bybit,bitget") == 0
    assert {path.name: path.read_bytes() for path in fetch.raw.glob("*.*")} == first
    asked = fetch.server.requests - before
    assert {kind for _, kind in asked} == {"markets"}


@pytest.mark.parametrize("kind", ["candles", "funding"])
def test_a_run_that_was_cut_goes_on_where_it_was(fetch: Fetch, kind: str) -> None:
    assert fetch("mexc,okx") == 0
    whole = {name: fetch.table(name) for name in ("prices_1h.parquet", "funding.parquet")}
    for path in fetch.raw.glob("*.parquet"):
        path.unlink()
    for path in sorted(fetch.raw.glob(f"parts/*/*.{'prices' if kind == 'candles' else 'funding'}.parquet"))[::2]:
        pd.read_parquet(path).iloc[40:70].to_parquet(path)  # both ends are gone
    assert fetch("mexc,okx") == 0
    for name, table in whole.items():
        pd.testing.assert_frame_equal(fetch.table(name), table)


def test_a_longer_span_adds_to_what_is_there(fetch: Fetch) -> None:
    assert fetch("gate", days=3) == 0
    short = fetch.table("prices_1h.parquet")
    assert fetch("gate", days=9) == 0
    long = fetch.table("prices_1h.parquet")
    assert (len(short), len(long)) == (3 * 24 * 4, 9 * 24 * 4)


def test_another_exchange_is_added_to_the_tables(fetch: Fetch) -> None:
    assert fetch("gate", "BTCUSDT", days=2) == 0
    assert fetch("okx", "BTCUSDT", days=2) == 0
    assert fetch.table("prices_1h.parquet").exchange.unique().tolist() == ["gate", "okx"]


def test_a_symbol_that_is_not_listed_is_a_warning(fetch: Fetch) -> None:
    assert fetch("gate,okx", "BTCUSDT,NOPEUSDT", days=1) == 0
    assert "warning: gate does not list NOPEUSDT" in fetch.out
    assert fetch.report["exchanges"]["okx"]["not_listed"] == ["NOPEUSDT"]
    assert fetch.report["complete"]


def test_gaps_are_told_against_the_interval_in_force(fetch: Fetch) -> None:
    leg = fetch.server.world.legs["gate", "ETH"]
    hour = fetch.server.world.now_ms // HOUR_MS - 50
    leg.missing_hours = frozenset({hour, hour + 1})
    usual = leg.settles
    absent = hour // 4 * 4
    leg.settles = lambda at: usual(at) and at != absent  # type: ignore[method-assign]  # a leg with another schedule
    leg._settlements = None
    try:
        assert fetch("gate", "ETHUSDT,SOLUSDT") == 0
    finally:
        del leg.settles
        leg.missing_hours, leg._settlements = frozenset(), None
    found = fetch.report["exchanges"]["gate"]["symbols"]
    assert [gap["missing"] for gap in found["ETHUSDT"]["bars"]["gaps"]] == [2]
    assert [gap["missing"] for gap in found["ETHUSDT"]["settlements"]["gaps"]] == [1]
    assert found["SOLUSDT"]["settlements"]["gaps"] == []  # its interval changes, nothing is missing
    lines = [line for line in fetch.out.splitlines() if line.startswith("gap: ")]
    assert [line.split(" missing")[0] for line in lines] == [
        "gap: gate ETHUSDT: 2 bars",
        "gap: gate ETHUSDT: 1 settlements",
    ]


def test_a_history_that_begins_late_is_told(fetch: Fetch) -> None:
    leg = fetch.server.world.legs["mexc", "ETH"]
    leg.listed_from = fetch.server.world.now_ms // HOUR_MS - 60
    try:
        assert fetch("mexc", "BTCUSDT,ETHUSDT") == 0
    finally:
        leg.listed_from = 0
    notes = [line for line in fetch.out.splitlines() if line.startswith("note: ")]
    assert [note.split(" begin at")[0] for note in notes] == [
        "note: mexc ETHUSDT: bars",
        "note: mexc ETHUSDT: settlements",
    ]


def test_an_exchange_that_fails_is_told_and_the_others_are_stored(fetch: Fetch) -> None:
    fetch.server.faults.rules.append(Rule("http503", "bybit"))
    assert fetch("bybit,okx", "BTCUSDT", days=2) == 1
    assert "error: bybit: ExchangeNotAvailable" in fetch.out
    assert fetch.table("prices_1h.parquet").exchange.unique().tolist() == ["okx"]
    assert not fetch.report["complete"]
    fetch.server.faults.rules.clear()
    assert fetch("bybit,okx", "BTCUSDT", days=2) == 0
    assert fetch.table("prices_1h.parquet").exchange.unique().tolist() == ["bybit", "okx"]


def test_the_coins_traded_most_are_chosen_once(fetch: Fetch) -> None:
    volumes = {
        f"{coin}USDT": [
            fetch.server.world.legs[name, coin].volume_24h(fetch.server.world.now_ms)[1] for name in ("gate", "bybit")
        ]
        for coin in COINS
    }
    expected = sorted(rank(volumes, 2, legs=2))
    assert fetch("gate,bybit", "top:2", days=2) == 0
    assert sorted(fetch.report["exchanges"]["gate"]["symbols"]) == expected
    for coin in expected:
        for name in ("gate", "bybit"):
            fetch.server.world.legs[name, coin.removesuffix("USDT")].bars[:, 4] *= 0.01
    assert fetch("gate,bybit", "top:2", days=2) == 0
    assert sorted(fetch.report["exchanges"]["gate"]["symbols"]) == expected
    assert "an earlier run chose" in fetch.out
    for coin in expected:
        for name in ("gate", "bybit"):
            fetch.server.world.legs[name, coin.removesuffix("USDT")].bars[:, 4] *= 100


def test_a_coin_needs_volume_on_two_exchanges() -> None:
    volumes = {"A": [9.0, 1.0, 5.0], "B": [6.0, 6.0], "C": [100.0]}
    assert rank(volumes, 9, legs=2) == ["B", "A"]
    assert rank(volumes, 1, legs=1) == ["C"]


@pytest.mark.parametrize(
    ("symbols", "options", "message"),
    [
        ("BTC/EUR", {}, "not of the form BTCUSDT"),
        ("top:x", {}, "top:50"),
        ("BTCUSDT", {"until": "2020-01-01"}, "--since must lie before --until"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    fetch: Fetch, symbols: str, options: dict[str, str], message: str
) -> None:
    assert fetch("gate", symbols, **options) == 2
    assert message in fetch.err
    assert not fetch.raw.exists()


def test_a_damaged_part_costs_its_own_coin_only(fetch: Fetch) -> None:
    assert fetch("gate", "BTCUSDT,ETHUSDT", days=1) == 0
    next(fetch.raw.glob("parts/gate/BTC*.prices.parquet")).write_bytes(b"PAR1 no more")
    assert fetch("gate", "BTCUSDT,ETHUSDT", days=2) == 1
    assert "error: gate BTCUSDT: " in fetch.out
    assert "delete it and it will be downloaded again" in fetch.out
    assert sum(line.startswith("left out: ") for line in fetch.out.splitlines()) == 1
    assert len(fetch.report["left_out"]) == 1
    assert fetch.table("prices_1h.parquet").base.value_counts().to_dict() == {"ETH": 48}
    assert fetch.report["exchanges"]["gate"]["symbols"]["ETHUSDT"]["error"] is None


def test_a_part_that_holds_another_contract_is_an_error_and_never_taken(fetch: Fetch) -> None:
    assert fetch("gate", "BTCUSDT,ETHUSDT", days=1) == 0
    parts = fetch.raw / "parts" / "gate"
    (parts / "BTC_USDT_USDT.prices.parquet").write_bytes((parts / "ETH_USDT_USDT.prices.parquet").read_bytes())
    assert fetch("gate", "BTCUSDT,ETHUSDT", days=2) == 1
    assert "holds 'ETH/USDT:USDT' on gate, which is not what it is named after" in fetch.out
    assert fetch.table("prices_1h.parquet").base.unique().tolist() == ["ETH"]
    for path in parts.glob("BTC*.prices.parquet"):
        path.unlink()
    assert fetch("gate", "BTCUSDT,ETHUSDT", days=2) == 0
    assert sorted(fetch.table("prices_1h.parquet").base.unique()) == ["BTC", "ETH"]


def test_what_is_no_part_is_left_out_with_a_line(fetch: Fetch) -> None:
    assert fetch("gate", "BTCUSDT", days=1) == 0
    whole = fetch.table("prices_1h.parquet")
    pd.DataFrame({"a": [1]}).to_parquet(fetch.raw / "parts" / "gate" / "MINE.prices.parquet")
    assert fetch("gate", "BTCUSDT", days=1) == 1
    assert "is none of arb's parts" in fetch.out
    pd.testing.assert_frame_equal(fetch.table("prices_1h.parquet"), whole)


def test_a_damaged_file_of_notices_costs_none_of_the_tables(fetch: Fetch) -> None:
    fetch.raw.mkdir()
    (fetch.raw / "delistings.parquet").write_bytes(b"PAR1 no more")
    assert fetch("gate", "BTCUSDT", days=1) == 1
    assert "delistings.parquet: cannot be read; move it away and notices are kept anew" in fetch.out
    assert len(fetch.table("prices_1h.parquet")) == 24
    assert not fetch.report["complete"]


def test_coins_of_another_script_have_a_part_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two coins whose names have no Latin letter: their rows, again in a second run, are each one's own."""
    world = world_of(5, coins=("币安人生", "我踏马来了", "BTC"), exchanges=("gate", "bybit"))
    with LoopbackServer(world) as server:
        fetch = Fetch(server, tmp_path, capsys)
        coins = "币安人生USDT,我踏马来了/USDT:USDT,BTC"
        assert fetch("gate,bybit", coins, days=2) == 0
        assert fetch("gateio,Bybit", coins, days=4) == 0
        prices = fetch.table("prices_1h.parquet")
    until = world.now_ms // HOUR_MS * HOUR_MS
    for (exchange, coin), leg in world.legs.items():
        mine = prices[(prices.exchange == exchange) & (prices.base == coin)]
        assert mine.close.tolist() == [row[4] for row in held_bars(leg, world.now_ms, until - 96 * HOUR_MS, until)]


@pytest.mark.parametrize(
    ("symbols", "exclude", "coins"),
    [
        ("BTC/USDT:USDT,eth-usdt-swap,1000PEPEUSDT", None, ["BTCUSDT", "ETHUSDT", "PEPEUSDT"]),
        ("BTC,ETH,SOL", "eth, SOL/USDT", ["BTCUSDT"]),
        ("top:4", "BTCUSDT,PEPE", ["ETHUSDT", "SOLUSDT"]),
    ],
)
def test_coins_are_chosen_and_left_out_in_any_spelling(
    fetch: Fetch, symbols: str, exclude: str | None, coins: list[str]
) -> None:
    assert fetch("gate", symbols, days=1, **({"exclude": exclude} if exclude else {})) == 0
    assert sorted(fetch.report["exchanges"]["gate"]["symbols"]) == coins


def test_an_announced_end_is_kept_with_the_time_it_was_seen_at(
    fetch: Fetch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = fetch.server.world
    leg, now = world.legs["bybit", "ETH"], world.now_ms
    assert fetch("bybit,okx", "BTC,ETH", days=5) == 0
    assert not (fetch.raw / "delistings.parquet").exists()
    leg.ends_ms = (now // HOUR_MS + 30) * HOUR_MS
    try:
        assert fetch("bybit,okx", "BTC,ETH", days=5) == 0
        assert "note: bybit ETHUSDT: ETH/USDT:USDT ends at " in fetch.out
        first = (fetch.raw / "delistings.parquet").read_bytes()
        assert fetch("bybit,okx", "BTC,ETH", days=5) == 0
        assert (fetch.raw / "delistings.parquet").read_bytes() == first
    finally:
        leg.ends_ms = None
    seen = fetch.table("delistings.parquet")
    assert seen[["exchange", "symbol", "base"]].to_numpy().tolist() == [["bybit", "ETH/USDT:USDT", "ETH"]]
    assert seen.seen_time.astype("int64").tolist() == [now]
    assert seen.end_time.astype("int64").tolist() == [(now // HOUR_MS + 30) * HOUR_MS]
    with pytest.raises(SystemExit) as ended:
        main(["data", "build", str(fetch.raw), "--out", str(tmp_path / "set")])
    assert ended.value.code == 0
    capsys.readouterr()
    (notice,) = read_info(tmp_path / "set").delistings
    assert (notice.symbol, notice.exchange) == ("ETHUSDT", "bybit")
    assert hour_of(notice.time) == now // HOUR_MS + 30
    assert hour_of(notice.known_at) == now // HOUR_MS + 1  # the first whole hour after it was seen
    assert fetch("bybit,okx", "BTC,ETH", days=5) == 0  # and now it is taken back
    assert fetch.table("delistings.parquet").end_time.isna().tolist() == [False, True]
    with pytest.raises(SystemExit):
        main(["data", "build", str(fetch.raw), "--out", str(tmp_path / "again")])
    assert read_info(tmp_path / "again").delistings == ()


def test_progress_is_plain_lines_where_nobody_looks(fetch: Fetch) -> None:
    assert not sys.stderr.isatty()
    assert fetch("gate,okx", days=1) == 0
    assert "gate: 0 of 4 coins" in fetch.err
    assert "okx: 4 of 4 coins" in fetch.err
    assert "gate: 4 coins, 96 bars" in fetch.out


def test_rows_that_are_not_believed_are_not_in_the_tables_but_in_the_report(fetch: Fetch) -> None:
    now_hour = fetch.server.world.now_ms // HOUR_MS
    spoilt = {"close": now_hour - 30, "rate": now_hour - now_hour % 8 - 16}
    leg = fetch.server.world.legs["okx", "ETH"]
    bars, rates = leg.bars.copy(), leg.rates.copy()
    leg.bars[spoilt["close"] - leg.first_hour, :4] *= 1.5
    leg.rates[:] = np.where(np.arange(len(rates)) == spoilt["rate"] - leg.first_hour, 0.025, rates)
    leg._candles = leg._settlements = None
    try:
        assert fetch("okx,bybit,gate", days=8) == 0
    finally:
        leg.bars[:], leg.rates[:] = bars, rates
        leg._candles = leg._settlements = None
    found = fetch.report["exchanges"]["okx"]["symbols"]["ETHUSDT"]
    assert found["refused"]["values"] >= 2
    assert "refused: okx ETHUSDT: " in fetch.out
    assert {"ETHUSDT on okx" in text for text in found["refused"]["first"]} == {True}
    others = [
        leg["refused"]["values"]
        for name, exchange in fetch.report["exchanges"].items()
        for symbol, leg in exchange["symbols"].items()
        if (name, symbol) != ("okx", "ETHUSDT")
    ]
    assert set(others) == {0}
    prices = fetch.table("prices_1h.parquet")
    mine = prices[(prices.exchange == "okx") & (prices.base == "ETH")]
    assert spoilt["close"] * HOUR_MS not in mine.timestamp.astype("int64").tolist()
    assert len(mine) == found["bars"]["rows"] == 8 * 24 - 1
    assert [gap["missing"] for gap in found["bars"]["gaps"]] == [1]
    funding = fetch.table("funding.parquet")
    assert funding.funding_rate.abs().max() < 0.01
    wide = {"max_price_disagreement": 0.9, "usual_rate": 0.03, "usual_rate_per_hour": 0.03}
    fetch.config.write_text(yaml.safe_dump({**yaml.safe_load(fetch.config.read_text()), "gate": wide}))
    asked = fetch.server.requests["okx", "candles"]
    assert fetch("okx,bybit,gate", days=8) == 0
    assert "refused" not in fetch.out
    assert fetch.server.requests["okx", "candles"] == asked  # other limits need no new download
    prices = fetch.table("prices_1h.parquet")
    assert len(prices[(prices.exchange == "okx") & (prices.base == "ETH")]) == 8 * 24


def test_a_settled_rate_of_another_unit_never_comes_as_far_as_the_parts(fetch: Fetch) -> None:
    leg = fetch.server.world.legs["bybit", "BTC"]
    rates = leg.rates.copy()
    leg.rates *= 1e5
    leg._settlements = None
    try:
        assert fetch("bybit", "BTCUSDT", days=8) == 0
    finally:
        leg.rates[:] = rates
        leg._settlements = None
    found = fetch.report["exchanges"]["bybit"]["symbols"]["BTCUSDT"]
    assert found["settlements"]["rows"] + found["refused"]["values"] >= 24
    assert found["refused"]["values"] > 12
    assert "at most 0.02 in one settlement there" in found["refused"]["first"][0]


def test_what_exchanges_demand_of_orders_is_kept_per_coin_and_goes_into_the_data_set(
    fetch: Fetch, server: LoopbackServer, tmp_path: Path
) -> None:
    """The server lists 1000PEPE on bybit in steps of 0.001, and PEPE on okx in contracts of 10 coins."""
    assert fetch("bybit,okx,hyperliquid", "BTCUSDT,PEPEUSDT") == 0
    rules = {(row.symbol, row.exchange): row for row in read_instruments(fetch.raw / "instruments.parquet")}
    assert len(rules) == 6
    assert rules["BTCUSDT", "bybit"].rules == (0.01, 0.001, 5.0, 50.0)
    # Per coin: a price of a thousand is divided, a step of sizes is of a thousand each.
    assert rules["PEPEUSDT", "bybit"].rules == (1e-5, 1.0, 5.0, 50.0)
    contract = server.world.legs["okx", "PEPE"]
    assert rules["PEPEUSDT", "okx"].lot == contract.contract_size
    assert np.isnan(rules["BTCUSDT", "hyperliquid"].tick)  # the listed one is of the price of this minute
    first = (fetch.raw / "instruments.parquet").read_bytes()
    assert fetch("bybit,okx,hyperliquid", "BTCUSDT,PEPEUSDT") == 0
    assert (fetch.raw / "instruments.parquet").read_bytes() == first
    with pytest.raises(SystemExit):
        main(["data", "build", str(fetch.raw), "--out", str(tmp_path / "set")])
    market = load_dataset(tmp_path / "set", cache=False).market
    assert [repr(row) for row in rows_of(market)] == [repr(rules[leg]) for leg in sorted(rules)]


def test_a_damaged_file_of_instruments_costs_none_of_the_tables(fetch: Fetch) -> None:
    fetch.raw.mkdir()
    (fetch.raw / "instruments.parquet").write_bytes(b"PAR1 no more")
    assert fetch("bybit", "BTCUSDT") == 1
    assert "instruments.parquet: is not parquet as expected" in fetch.out
    assert len(fetch.table("prices_1h.parquet"))


def test_an_import_and_a_download_add_up_in_one_folder(fetch: Fetch, tmp_path: Path) -> None:
    assert fetch("hyperliquid") == 0
    whole = [fetch.table(name) for name in ("prices_1h.parquet", "funding.parquet")]
    files = tmp_path / "files"
    for table in (part.reset_index(drop=True) for _, part in whole[0].groupby("symbol")):
        name = str(table["symbol"][0]).replace("/", "_").replace(":", "_")
        write(files / f"{name}-1h.json", json.dumps(candles(table[:100])).encode())
    rows = [
        {"symbol": symbol, "fundingRate": rate, "timestamp": time}
        for symbol, table in whole[1].groupby("symbol")
        for time, rate in rates_of(table[:100])
    ]
    write(files / "rates.json", json.dumps(rows).encode())
    fetch.raw = tmp_path / "both"
    now = written(fetch.server.world.now_ms)
    assert arb("data", "import", files, "--from", "ccxt", "--exchange", "hl", "--out", fetch.raw, "--now", now) == 0
    assert len(fetch.table("prices_1h.parquet")) == 99 * whole[0]["symbol"].nunique()
    assert fetch("hyperliquid") == 0
    for name, wanted in zip(("prices_1h.parquet", "funding.parquet"), whole, strict=True):
        pd.testing.assert_frame_equal(fetch.table(name), wanted)
