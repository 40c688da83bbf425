"""What is missing from funding and prices is never invented: from raw tables to what a backtest makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support_cli import arb
from support_datasets import FIRST, bars, settlements, stamp, write_older, write_raw
from support_funding import LONG, SHORT, both_bars, built, calm_prices, held, record

from adapters.datasets.hourly_intervals import hourly_intervals
from adapters.datasets.load import load_dataset
from adapters.datasets.validate import validate
from adapters.exchanges.coins import Listing
from adapters.exchanges.history import ExchangeHistory
from adapters.exchanges.leg_history import LegHistory
from adapters.gate.frozen import FROZEN_BARS, frozen_bars, frozen_hours
from adapters.paper.history_facts import past_hours
from adapters.storage.stamps import HOUR_MS
from engine.accounting.books import Kind, Reason
from engine.accounting.records import Records
from engine.live_window import FACTS
from engine.market.schedule import ACTUAL

HOURS = 600


@pytest.fixture(autouse=True)
def _cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARB_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "arrays"))


def backtest(dataset: Path, out: Path, strategy: str) -> dict[str, Any]:
    """Metrics of a run by the command line."""
    assert arb("backtest", "--strategy", strategy, "--data", dataset, "--out", out, "--no-report") == 0
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return metrics


def funding_of(records: Records) -> Any:
    return records.ledger[records.ledger["kind"] == int(Kind.FUNDING)]


# --- a funding record that ends ---


@pytest.mark.parametrize("interval", [1, 8])
@pytest.mark.parametrize("strategy", ["carry", "greedy"])
def test_a_dead_funding_record_earns_what_a_dead_market_earns(tmp_path: Path, strategy: str, interval: int) -> None:
    """It ends with a rate of 0.75 % while prices go on; beside it the run in which the leg is cut there."""
    end = 240
    prices = calm_prices(HOURS)
    rates = dict.fromkeys(range(0, end, interval), 1e-05 * interval) | {end: 0.0075}
    funding = [
        settlements(LONG, "BTC", dict.fromkeys(range(0, HOURS + 1, 8), 0.00005), interval=8.0),
        settlements(SHORT, "BTC", rates, interval=float(interval)),
    ]
    metrics = {}
    for name, last in (("dead", HOURS), ("cut", end)):
        legs = [bars(LONG, "BTC", prices[0]), bars(SHORT, "BTC", prices[1][:last])]
        dataset, _ = built(tmp_path / name, legs, funding)
        metrics[name] = backtest(dataset, tmp_path / name / "run", strategy)
    assert metrics["dead"]["pnl_pct"] == pytest.approx(metrics["cut"]["pnl_pct"], abs=0.1)
    assert metrics["dead"]["pnl_pct"] < 0.1
    assert metrics["dead"]["trades"] == metrics["cut"]["trades"]


def test_what_is_assumed_costs_and_ends(tmp_path: Path) -> None:
    """Bybit pays 0.15 % at 240 and is never heard of again: its short is charged at 248 and 256, and leaves then."""
    funding = [
        record(LONG, dict.fromkeys(range(0, HOURS + 1, 8), 0.0)),
        record(SHORT, {**dict.fromkeys(range(0, 240, 8), 0.0), 240: -0.0015}),
    ]
    dataset, _ = built(tmp_path, both_bars(HOURS), funding)
    records = held(dataset)
    entries = funding_of(records)
    assumed = entries[entries["booking"] != ACTUAL]
    assert assumed["hour"].tolist() == [248, 256]
    assert (assumed["amount"] < 0).all()
    trade = records.trades[0]
    assert (int(trade["closed"]), Reason(trade["reason"])) == (256, Reason.DATA_OUTAGE)


# --- intervals that change ---


def changing_schedule() -> dict[int, int]:
    """Hours of settlements with their intervals: every 8 h, hourly from 201 to 256, every 8 h again."""
    hours = dict.fromkeys(range(0, 201, 8), 8)
    hours |= dict.fromkeys(range(201, 257), 1)
    return hours | dict.fromkeys(range(264, 385, 8), 8)


@pytest.mark.parametrize("is_stated", [True, False])
def test_intervals_that_change_pay_every_settlement_once(tmp_path: Path, is_stated: bool) -> None:
    """86 settlements of 0.1 % on 1,666.67 USD: 143.33 USD, nothing assumed for good, no outage."""
    schedule = changing_schedule()
    intervals = {hour: float(every) for hour, every in schedule.items()} if is_stated else None
    flat = [bars(exchange, "BTC", [100.0] * 384) for exchange in (LONG, SHORT)]
    funding = [
        record(LONG, dict.fromkeys(schedule, 0.0), intervals),
        record(SHORT, dict.fromkeys(schedule, 0.001), intervals),
    ]
    dataset, warnings = built(tmp_path, flat, funding)
    assert warnings == []
    assert sum(hour > 88 for hour in schedule) == 86
    records = held(dataset, entered=88)
    assert funding_of(records)["amount"].sum() == pytest.approx(143.3333, abs=1e-4)
    assert (funding_of(records)["booking"] == ACTUAL).all()
    assert records.missing_settlements == 0
    assert Reason(records.trades[0]["reason"]) == Reason.END_OF_DATA


def test_an_interval_holds_for_the_hours_that_it_covers(tmp_path: Path) -> None:
    schedule = changing_schedule()
    flat = [bars(exchange, "BTC", [100.0] * 384) for exchange in (LONG, SHORT)]
    funding = [
        record(name, dict.fromkeys(schedule, 0.0), {h: float(i) for h, i in schedule.items()}) for name in (LONG, SHORT)
    ]
    dataset, _ = built(tmp_path, flat, funding)
    interval = load_dataset(dataset, cache=False).market.funding_interval_hours[0]
    assert interval[:201].tolist() == [8.0] * 201
    assert interval[201:257].tolist() == [1.0] * 56
    assert interval[257:].tolist() == [8.0] * 128


@pytest.mark.parametrize(
    ("settled", "stated", "hourly"),
    [
        # What is not stated is shown by the record; after the last settlement the last interval goes on.
        ({2: None, 4: None, 6: None}, {}, [None, 2, 2, 2, 2, 2, 2, 2, 2]),
        # A switch may fall short of a whole new interval.
        ({1: 1, 2: 1, 4: 4, 8: 4}, {}, [None, 1, 1, 4, 4, 4, 4, 4, 4]),
        # A gap keeps the interval of before, up to the hours that the next one covers.
        ({0: 2, 8: 1}, {}, [2, 2, 2, 2, 2, 2, 2, 2, 1]),
        # What is stated at an hour of its own stays.
        ({4: 4}, {2: 2}, [None, 4, 2, 4, 4, 4, 4, 4, 4]),
        # One settlement shows no interval, nor do two days.
        ({4: None}, {}, [None] * 9),
        ({}, {3: 8}, [None, None, None, 8, 8, 8, 8, 8, 8]),
    ],
)
def test_the_interval_of_every_hour(
    settled: dict[int, int | None], stated: dict[int, int], hourly: list[int | None]
) -> None:
    rates, said = np.full((1, 9), np.nan), np.full((1, 9), np.nan)
    for hour, interval in settled.items():
        rates[0, hour], said[0, hour] = 0.0, np.nan if interval is None else interval
    for hour, interval in stated.items():
        said[0, hour] = interval
    expected = [np.nan if each is None else float(each) for each in hourly]
    np.testing.assert_array_equal(hourly_intervals(rates, said)[0], expected)


def test_older_files_tell_intervals_by_their_record(tmp_path: Path) -> None:
    schedule = changing_schedule()
    rates = [0.001 if hour in schedule else 0.0 for hour in range(385)]
    columns = {
        f"{e}_{kind}": values
        for e in ("binance", "bybit")
        for kind, values in (("price", [100.0] * 385), ("funding_rate", rates))
    }
    frame = pd.DataFrame({"timestamp": [stamp(i) for i in range(385)], **columns})
    frame["binance_funding_rate"] = [0.0005 if rate else 0.0 for rate in rates]
    dataset = write_older(tmp_path, {"BTCUSDT": frame})
    records = held(dataset, entered=88)
    assert funding_of(records)["amount"].sum() == pytest.approx(143.3333 / 2, abs=1e-4)
    assert records.missing_settlements == 0


# --- frozen bars ---


def frozen_tail(closes: list[float], first: int) -> pd.DataFrame:
    """Bars of bybit that repeat one price without volume from a row on."""
    table = bars(SHORT, "BTC", closes)
    table.loc[table.index >= first, ["open", "high", "low", "close"]] = closes[first - 1]
    table.loc[table.index >= first, "volume"] = 0.0
    return table


@pytest.mark.parametrize("strategy", ["carry", "greedy"])
def test_frozen_bars_are_as_if_they_were_not_there(
    tmp_path: Path, strategy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bybit's feed repeats itself from hour 200 on, and goes on paying."""
    closes, other = calm_prices(HOURS)
    funding = [
        settlements(LONG, "BTC", dict.fromkeys(range(0, HOURS + 1, 8), 0.00005), interval=8.0),
        settlements(SHORT, "BTC", dict.fromkeys(range(0, HOURS + 1, 8), 0.002), interval=8.0),
    ]
    metrics = {}
    for name, leg in (("frozen", frozen_tail(other, 200)), ("gone", bars(SHORT, "BTC", other[:200]))):
        raw = write_raw(tmp_path / name / "raw", [bars(LONG, "BTC", closes), leg], funding)
        assert arb("data", "build", raw, "--out", tmp_path / name / "set") == 0
        metrics[name] = backtest(tmp_path / name / "set", tmp_path / name / "run", strategy)
    assert metrics["frozen"] == metrics["gone"]
    assert metrics["gone"]["trades"] == 1
    told = capsys.readouterr().err
    assert "BTCUSDT on bybit: 400 hourly bars stand still without volume, the first at 2024-05-09T08:00Z" in told


@pytest.mark.parametrize(
    ("still", "frozen"),
    [
        ([1] * 11, []),
        ([1] * 12, range(12)),
        ([0, *[1] * 12, 0], range(1, 13)),
        ([*[1] * 11, 0, *[1] * 11], []),
        ([*[1] * 12, 0, *[1] * 13], [*range(12), *range(13, 26)]),
        ([], []),
    ],
)
def test_twelve_still_bars_in_a_row_are_silence_from_the_first_on(still: list[int], frozen: Any) -> None:
    assert np.flatnonzero(frozen_bars(np.array(still, bool))).tolist() == list(frozen)


def test_a_bar_that_is_missing_is_no_sign_of_life(tmp_path: Path) -> None:
    closes, other = calm_prices(100)
    leg = frozen_tail(other, 50).drop(index=range(55, 60))
    funding = [settlements(name, "BTC", dict.fromkeys(range(0, 101, 4), 0.0)) for name in (LONG, SHORT)]
    dataset, warnings = built(tmp_path, [bars(LONG, "BTC", closes), leg], funding)
    price = load_dataset(dataset, cache=False).market.price[1]
    assert np.flatnonzero(~np.isnan(price)).tolist() == list(range(1, 51))
    assert "45 hourly bars" in warnings[0]


def test_bars_with_one_trade_or_that_move_are_alive(tmp_path: Path) -> None:
    closes, other = calm_prices(100)
    funding = [settlements(name, "BTC", dict.fromkeys(range(0, 101, 4), 0.0)) for name in (LONG, SHORT)]
    for column, value in (("volume", 1e-9), ("high", other[49] * 1.001)):
        leg = frozen_tail(other, 50)
        leg.loc[leg.index % FROZEN_BARS == 0, column] = value
        dataset, warnings = built(tmp_path / column, [bars(LONG, "BTC", closes), leg], funding)
        assert warnings == []
        assert not np.isnan(load_dataset(dataset, cache=False).market.price[1, 1:]).any()


def test_a_leg_that_never_lives_is_left_out_and_a_table_of_them_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    closes, other = calm_prices(100)
    funding = [settlements(name, "BTC", dict.fromkeys(range(0, 101, 4), 0.0)) for name in (LONG, SHORT)]
    dead = frozen_tail(other, 0)
    dataset, warnings = built(tmp_path / "one", [bars(LONG, "BTC", closes), dead], funding)
    assert load_dataset(dataset, cache=False).market.exchanges == ("binanceusdm",)
    assert "BTCUSDT on bybit: 100 hourly bars" in warnings[0]
    raw = write_raw(tmp_path / "none", [dead], funding[1:])
    assert arb("data", "build", raw, "--out", tmp_path / "out") == 2
    assert "every bar stands still without any volume" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def older_frame(price: Any, fill: Any, volume: Any) -> pd.DataFrame:
    """A price history of bybit with the columns of a data set, and a living binance."""
    hours = len(price)
    return pd.DataFrame(
        {
            "timestamp": [stamp(i) for i in range(hours)],
            "bybit_price": price,
            "bybit_fill_price": fill,
            "bybit_volume_24h_usd": volume,
            "bybit_funding_rate": [0.0001 if i % 8 == 0 else 0.0 for i in range(hours)],
            "binance_price": [100.0 + 0.01 * i for i in range(hours)],
            "binance_funding_rate": [0.0001 if i % 8 == 0 else 0.0 for i in range(hours)],
        }
    )


def test_frozen_hours_of_older_files_and_data_sets_are_unknown(tmp_path: Path) -> None:
    """The same bars read from a data set that was made before the rule: the same market as when they are built."""
    _, other = calm_prices(100)
    dead = frozen_tail(other, 50)
    closes, volume = dead["close"].to_numpy(), (dead["volume"] * dead["close"]).to_numpy()
    price, fill = [np.nan, *closes], [*dead["open"], np.nan]
    trailing = [np.nan, *(volume[max(0, i - 23) : i + 1].sum() for i in range(100))]
    folder = write_older(tmp_path, {"BTCUSDT": older_frame(price, fill, trailing)})
    loaded = load_dataset(folder, cache=False)
    market, leg = loaded.market, loaded.market.leg("BTCUSDT", "bybit")
    assert np.flatnonzero(~np.isnan(market.price[leg])).tolist() == list(range(1, 51))
    assert np.flatnonzero(~np.isnan(market.fill_price[leg])).tolist() == list(range(50))
    assert loaded.notes == (
        "BTCUSDT on bybit: 50 hourly bars stand still without volume, the first at 2024-05-03T03:00Z (12 in a row or "
        "more): left out, as if there had been no price",
    )
    assert [(f.severity, f.message) for f in validate(folder) if f.kind == "price history"] == [
        ("warning", *loaded.notes)
    ]


@pytest.mark.parametrize(
    ("volume", "is_frozen"),
    [
        ([5.0] * 10 + [0.0] * 20, True),
        ([5.0] * 10 + [4.0 - 0.1 * k for k in range(20)], True),  # falls, and the record ends before a day is over
        ([5.0] * 10 + [np.nan] * 20, True),
        ([5.0] * 30, False),  # as much as ever, at a price that does not move
        ([5.0] * 10 + [4.0 + 0.1 * k for k in range(20)], False),
        ([np.nan] * 30, False),  # nothing is known of volumes
    ],
)
def test_whether_a_price_that_stands_still_is_dead_shows_in_its_volume(volume: list[float], is_frozen: bool) -> None:
    price = np.array([100.0 + k for k in range(10)] + [109.0] * 20)
    found = np.flatnonzero(frozen_hours(price, np.full(30, np.nan), np.array(volume)))
    assert found.tolist() == (list(range(10, 30)) if is_frozen else [])


def test_a_price_that_still_has_volume_after_a_day_is_alive_and_one_that_opens_elsewhere_too() -> None:
    price = np.array([100.0, 101.0, *[101.0] * 40])
    falling = np.linspace(5, 1, 42)
    assert not frozen_hours(price, np.full(42, np.nan), falling).any()
    assert frozen_hours(price[:20], np.full(20, np.nan), falling[:20]).any()
    assert not frozen_hours(price[:20], np.full(20, 100.5), falling[:20]).any()


def test_the_history_of_live_trading_is_read_by_the_same_rules() -> None:
    """Frozen bars are none, and the interval of every hour is the one that settled rates show."""
    _, other = calm_prices(60)
    table = frozen_tail(other, 30)
    leg = LegHistory(Listing("bybit", "BTC", "BTC/USDT:USDT", 1, 1.0, "USDT", None))
    for row in table.itertuples():
        opened = (FIRST + row.Index) * HOUR_MS
        leg.bars.by_time[opened] = (opened, row.open, row.high, row.low, row.close, row.volume)
    for hour in (*range(0, 25, 8), *range(25, 41), *range(48, 73, 8)):
        leg.settlements.by_time[(FIRST + hour) * HOUR_MS] = ((FIRST + hour) * HOUR_MS, 0.001)
    histories = {"bybit": ExchangeHistory("bybit", {"BTCUSDT": leg})}
    hours = past_hours(histories, [("BTCUSDT", "bybit")], FIRST + 4, FIRST + 60)
    known = {name: [hour.values[FACTS.index(name), 0] for hour in hours] for name in FACTS}
    assert np.flatnonzero(~np.isnan(known["price"])).tolist() == list(range(27))
    assert np.flatnonzero(~np.isnan(known["fill_price"])).tolist() == list(range(26))
    assert known["funding_interval_hours"] == [8.0] * 21 + [1.0] * 16 + [8.0] * 20


# --- settlements without prices ---


def test_settlements_outside_of_the_prices_are_counted_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    closes, other = calm_prices(100)
    legs = [bars(LONG, "BTC", closes), bars(SHORT, "BTC", other[:60], first=20)]
    funding = [
        settlements(LONG, "BTC", dict.fromkeys(range(-8, 120, 4), 0.0001)),
        settlements(SHORT, "BTC", dict.fromkeys(range(0, 120, 4), 0.0001)),
    ]
    raw = write_raw(tmp_path / "raw", legs, funding)
    assert arb("data", "build", raw, "--out", tmp_path / "out") == 0
    told = capsys.readouterr().err
    # Two before and four after the prices of binance; five before those of bybit and nine after them.
    assert "warning: BTCUSDT on binanceusdm: 6 settlements lie outside the hours of its prices" in told
    assert (
        "warning: BTCUSDT on bybit: 14 settlements lie outside the hours of its prices (2024-05-01T20:00Z to " in told
    )
    assert "the first at 2024-05-01T00:00Z: nobody can be paid there" in told


def test_a_table_in_order_has_nothing_to_say(tmp_path: Path) -> None:
    funding = [settlements(name, "BTC", dict.fromkeys(range(0, 101, 4), 0.0001)) for name in (LONG, SHORT)]
    assert built(tmp_path, both_bars(100), funding)[1] == []


# --- what is said of it ---


def test_above_a_tenth_every_line_of_profit_carries_the_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Binance is paid 0.09 % by its longs, and every third settlement is missing from the record."""
    dear, rich = dict.fromkeys(range(0, HOURS + 1, 8), 0.0009), dict.fromkeys(range(0, HOURS + 1, 8), 0.0015)
    holes = {hour: rate for hour, rate in dear.items() if hour <= 72 or hour % 24}
    whole, _ = built(tmp_path / "whole", both_bars(HOURS), [record(LONG, dear), record(SHORT, rich)])
    holed, _ = built(tmp_path / "holed", both_bars(HOURS), [record(LONG, holes), record(SHORT, rich)])

    assert backtest(whole, tmp_path / "run", "greedy")["assumed_funding_pct"] == 0.0
    assert "funding assumed, its settlements missing from the data: none" in capsys.readouterr().out
    assert arb("backtest", "--strategy", "greedy,hold", "--data", holed, "--out", tmp_path / "runs") == 0
    metrics = json.loads((tmp_path / "runs" / "greedy" / "metrics.json").read_text())
    share = metrics["assumed_funding_pct"]
    assert share == pytest.approx(100 * 9 / (45 + 18 + 9), abs=1)
    assert f"its settlements missing from the data: greedy {share:.1f} %\n" in capsys.readouterr().out
    page = (tmp_path / "runs" / "greedy" / "report.html").read_text()
    words = f"{share:.0f} % of funding assumed"
    assert f"below the target of 0.5 %, with {words}" in page or f"above the target of 0.5 %, with {words}" in page
    assert page.count(words) >= 4  # both figures of P&L, the story, the table of references
    assert words in (tmp_path / "runs" / "report.html").read_text()
    comparison = pd.read_csv(tmp_path / "runs" / "comparison.csv")
    assert comparison["assumed_funding_pct"].tolist() == pytest.approx([share, 0.0])

    state = tmp_path / "state"
    assert arb("paper-trade", "--replay", holed, "--strategy", "greedy", "--state", state) == 0
    capsys.readouterr()
    assert arb("paper-status", "--state", state) == 0
    status = capsys.readouterr().out
    assert f"%, {words}) in " in status
    assert f"({share:.0f} % assumed)" in status
