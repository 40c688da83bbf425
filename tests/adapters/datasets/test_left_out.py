"""One leg never stops a build: it is left out with one line, the rest is what it would be without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support_datasets import FIRST, bars, settlements, stamp
from support_raw import Builder, Tables, assert_same_but_for, legs_of, row_of

from engine.market.data import MarketData

ETH = ("ETHUSDT", "bybit")


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    return Builder(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> MarketData:
    """What is built of the tables as they are."""
    built = Builder(tmp_path_factory.mktemp("whole"))(nothing)
    assert (built.code, built.told) == (0, [])
    return built.market


def nothing(_: Tables, __: Tables) -> None:
    """Leaves the tables as they are."""


def listed_two_hours_ago(prices: Tables, funding: Tables) -> None:
    prices["ETH", "bybit"] = prices["ETH", "bybit"].iloc[-2:]
    del funding["ETH", "bybit"]


def without_bars(prices: Tables, _: Tables) -> None:
    del prices["ETH", "bybit"]


def named(base: str) -> object:
    def edit(prices: Tables, funding: Tables) -> None:
        for tables in (prices, funding):
            tables["ETH", "bybit"] = tables["ETH", "bybit"].assign(base=base)

    return edit


def on_the_half_hour(prices: Tables, _: Tables) -> None:
    table = prices["ETH", "bybit"]
    prices["ETH", "bybit"] = table.assign(timestamp=table.timestamp + pd.Timedelta("30min"))


def stamped(unit: str) -> object:
    """All bars of a leg with whole numbers of one unit read as those of another."""

    def edit(prices: Tables, _: Tables) -> None:
        for key, table in prices.items():
            prices[key] = table.assign(timestamp=table.timestamp.dt.as_unit("ms"))
        stamps = prices["ETH", "bybit"].timestamp.dt.as_unit(unit).astype("int64").to_numpy()
        wrong = pd.Series(stamps.astype("datetime64[ms]")).dt.tz_localize("UTC")
        prices["ETH", "bybit"] = prices["ETH", "bybit"].assign(timestamp=wrong)

    return edit


def rates_times(factor: float) -> object:
    def edit(_: Tables, funding: Tables) -> None:
        table = funding["ETH", "bybit"]
        funding["ETH", "bybit"] = table.assign(funding_rate=table.funding_rate * factor)

    return edit


def with_column(column: str, value: float) -> object:
    def edit(prices: Tables, _: Tables) -> None:
        prices["ETH", "bybit"] = prices["ETH", "bybit"].assign(**{column: value})

    return edit


@pytest.mark.parametrize(
    ("edit", "leg", "reason"),
    [
        (listed_two_hours_ago, "ETHUSDT on bybit", "bybit has no settlements of it"),
        (without_bars, "ETHUSDT on bybit", "bybit has no bars of it"),
        (named("../x"), "'../x' on bybit", "the name cannot be used: base '../x' begins with '.'"),
        (named("/etc/x"), "'/etc/x' on bybit", "begins with '/'"),
        (named("x" * 41), f"'{'x' * 41}' on bybit", "is longer than 40 characters"),
        (named("a\nb"), r"'a\nb' on bybit", "holds the character U+000A"),
        (named("=HYPERLINK(1)"), "'=HYPERLINK(1)' on bybit", "begins with '='"),
        (on_the_half_hour, "ETHUSDT on bybit", "the bar does not open at a whole hour (240 of 240 rows"),
        (
            stamped("us"),
            "ETHUSDT on bybit",
            "timestamp lies in the year 56301: likely microseconds read as milliseconds",
        ),
        (stamped("s"), "ETHUSDT on bybit", "timestamp lies in the year 1970: likely seconds read as milliseconds"),
        (rates_times(1e4), "ETHUSDT on bybit", "rates are decimal fractions, these are likely basis points (60 of 60"),
        (with_column("close", -1.0), "ETHUSDT on bybit", "close is not a positive price (240 of 240 rows"),
        (with_column("low", 1e9), "ETHUSDT on bybit", "open or close lies outside of low and high (240 of 240 rows"),
        (with_column("high", 1.0), "ETHUSDT on bybit", "open or close lies outside of low and high (240 of 240 rows"),
        (
            with_column("multiplier", 0),
            "ETHUSDT on bybit",
            "multiplier is not positive, or out of all proportion (240 of 240 rows",
        ),
    ],
)
def test_a_leg_that_cannot_be_used_is_left_out_with_one_line(
    build: Builder, whole: MarketData, edit: object, leg: str, reason: str, tmp_path: Path
) -> None:
    built = build(edit)  # type: ignore[arg-type]  # parameters are objects
    assert built.code == 0
    (line,) = built.told
    assert line.startswith(f"left out: {leg}: ")
    assert reason in line
    assert legs_of(built.market) == legs_of(whole) - {ETH}
    assert_same_but_for(built.market, whole, ETH)
    strict = build(edit, "--strict")  # type: ignore[arg-type]  # parameters are objects
    assert (strict.code, strict.out, strict.err.count("\n")) == (2, "", 1)
    assert not strict.folder.exists()
    assert {path.name for path in tmp_path.iterdir()} >= {built.folder.name}
    assert not [path for path in tmp_path.rglob("x*.parquet") if "raw" not in str(path)]


def test_nothing_is_written_outside_of_the_folder(build: Builder, tmp_path: Path) -> None:
    def edit(prices: Tables, funding: Tables) -> None:
        names = iter(("../x", "../../x", "/tmp/escaped", "..", "a/../../x", "x\\..\\y", "CON", "x\0", ".x"))
        for key in list(prices):
            name = next(names)
            for tables in (prices, funding):
                tables[key] = tables[key].assign(base=name)

    built = build(edit)
    assert built.code == 0
    assert len(built.told) == 8
    assert built.market.symbols == ("CONUSDT",)
    assert sorted(path.name for path in built.folder.rglob("*")) == ["CONUSDT.parquet", "dataset.yaml", "price_history"]
    assert {path.name for path in tmp_path.iterdir()} == {"raw1", built.folder.name}
    assert not Path("/tmp/escapedUSDT.parquet").exists()


def test_when_nothing_is_left_the_first_reason_is_told(build: Builder) -> None:
    def edit(prices: Tables, _: Tables) -> None:
        for key, table in prices.items():
            prices[key] = table.assign(close=np.nan)

    built = build(edit)
    assert built.code == 2
    assert built.err.count("\n") == 1
    assert (
        "BTC/USDT:USDT on binanceusdm, 2024-05-01T00:00Z: close is not a positive price; no leg is left (9 left out)"
        in built.err
    )
    assert not built.folder.exists()


@pytest.mark.parametrize(
    ("column", "value", "reason", "absent"),
    [
        (
            "close",
            np.nan,
            "close is not a positive price (1 of 240 rows; first ETH/USDT:USDT, 2024-05-01T10:00Z)",
            True,
        ),
        ("high", 1.0, "open or close lies outside of low and high (1 of 240 rows", True),
        ("low", 1e9, "open or close lies outside of low and high (1 of 240 rows", True),
        ("timestamp", pd.Timestamp("1970-01-01T00:00Z"), "timestamp lies in the year 1970 (1 of 240 rows", True),
        ("timestamp", pd.Timestamp("1705-01-01T00:00Z"), "timestamp lies in the year 1705 (1 of 240 rows", True),
        ("timestamp", pd.NaT, "timestamp is empty (1 of 240 rows; first ETH/USDT:USDT)", True),
        ("volume", -1.0, "volume is negative or not a number (1 of 240 rows", False),
    ],
)
def test_single_rows_that_cannot_be_true_are_absent(
    build: Builder, whole: MarketData, column: str, value: object, reason: str, absent: bool
) -> None:
    def edit(prices: Tables, _: Tables) -> None:
        prices["ETH", "bybit"].loc[10, column] = value

    built = build(edit)
    assert built.code == 0
    (line,) = built.told
    assert reason in line
    assert_same_but_for(built.market, whole, ETH)
    leg, row = built.market.leg(*ETH), row_of(built.market, 11)
    price = whole.price[whole.leg(*ETH)].copy()
    if absent:
        price[row] = np.nan
    np.testing.assert_array_equal(built.market.price[leg], price)
    assert np.isnan(built.market.fill_price[leg, row - 1]) == absent
    assert int(built.market.hours[0]) == FIRST
    assert build(edit, "--strict").code == 2


def test_a_leg_of_which_too_much_is_wrong_is_left_out_whole(build: Builder) -> None:
    def spoil(rows: int) -> object:
        def edit(prices: Tables, _: Tables) -> None:
            prices["ETH", "bybit"].loc[: rows - 1, "close"] = 0.0

        return edit

    assert ETH in legs_of(build(spoil(12)).market)  # type: ignore[arg-type]  # parameters are objects
    built = build(spoil(13))  # type: ignore[arg-type]  # parameters are objects
    assert ETH not in legs_of(built.market)
    assert built.told[0].startswith("left out: ETHUSDT on bybit: close is not a positive price (13 of 240 rows")


@pytest.mark.trap(6)
@pytest.mark.parametrize("late", ["42s", "-42s", "3min", "11ms"])
def test_trap_06_settlements_stamped_late_are_of_their_hour(build: Builder, whole: MarketData, late: str) -> None:
    def edit(_: Tables, funding: Tables) -> None:
        table = funding["ETH", "bybit"]
        funding["ETH", "bybit"] = table.assign(settlement_time=table.settlement_time + pd.Timedelta(late))

    built = build(edit)
    assert (built.code, built.told) == (0, [])
    assert_same_but_for(built.market, whole)


def test_a_stamp_that_fits_no_schedule_is_left_out_beside_one_that_does(build: Builder, whole: MarketData) -> None:
    def edit(_: Tables, funding: Tables) -> None:
        stray = settlements("bybit", "ETH", {"2024-05-03T07:17Z": 0.05}, interval=4.0)
        funding["ETH", "bybit"] = pd.concat([funding["ETH", "bybit"], stray], ignore_index=True)

    built = build(edit)
    assert built.code == 0
    assert built.told == [
        "left out of ETHUSDT on bybit: two settlements within one hour on bybit (1 of 61 rows; first 2024-05-03T08:00Z)"
    ]
    assert_same_but_for(built.market, whole)


def test_settlements_that_contradict_each_other_are_both_unknown(build: Builder, whole: MarketData) -> None:
    def edit(_: Tables, funding: Tables) -> None:
        other = settlements("bybit", "ETH", {8: 0.05}, interval=4.0)
        funding["ETH", "bybit"] = pd.concat([funding["ETH", "bybit"], other], ignore_index=True)

    built = build(edit)
    assert "two different settlements on bybit (2 of 61 rows; first 2024-05-01T08:00Z)" in built.told[0]
    leg, row = built.market.leg(*ETH), row_of(built.market, 8)
    assert np.isnan(built.market.funding_rate[leg, row])
    assert_same_but_for(built.market, whole, ETH)


def test_what_two_sources_say_alike_is_one_settlement(build: Builder, whole: MarketData) -> None:
    def edit(_: Tables, funding: Tables) -> None:
        again = funding["ETH", "bybit"].copy()
        again["settlement_time"] += pd.Timedelta("17ms")
        again["interval_hours"] = np.nan
        funding["ETH", "bybit"] = pd.concat([again, funding["ETH", "bybit"]], ignore_index=True)

    built = build(edit)
    assert (built.code, built.told) == (0, [])
    assert_same_but_for(built.market, whole)


@pytest.mark.parametrize(("stated", "unit"), [(480.0, "likely minutes"), (28_800.0, "likely seconds"), (-8.0, "-8")])
def test_an_interval_that_cannot_be_true_is_unknown(
    build: Builder, whole: MarketData, stated: float, unit: str
) -> None:
    def edit(_: Tables, funding: Tables) -> None:
        funding["ETH", "bybit"] = funding["ETH", "bybit"].assign(interval_hours=stated)

    built = build(edit)
    (line,) = built.told
    assert line.startswith("unknown for ETHUSDT on bybit: interval_hours is not a whole number from 1 to 24")
    assert unit in line
    leg = built.market.leg(*ETH)
    np.testing.assert_array_equal(built.market.funding_rate[leg], whole.funding_rate[whole.leg(*ETH)])
    assert_same_but_for(built.market, whole, ETH)
    assert build(edit, "--strict").code == 2


def replaced(at: int, *, overlap: int = 0, prices_fit: bool = True) -> object:
    """1000PEPE on bybit is replaced by PEPE at an hour; both trade for ``overlap`` hours."""

    def edit(prices: Tables, funding: Tables) -> None:
        table, unit = prices["PEPE", "bybit"], 1000 if prices_fit else 1
        later = table.iloc[at - overlap :].copy()
        later[["open", "high", "low", "close"]] /= unit
        later["volume"] *= unit
        names = {"symbol": "PEPE/USDT:USDT", "multiplier": 1}
        prices["PEPE", "bybit"] = pd.concat([table.iloc[:at], later.assign(**names)], ignore_index=True)
        paid = funding["PEPE", "bybit"]
        old, new = paid[paid.settlement_time < stamp(at)], paid[paid.settlement_time >= stamp(at - overlap)]
        funding["PEPE", "bybit"] = pd.concat([old, new.assign(**names)], ignore_index=True)

    return edit


@pytest.mark.parametrize("overlap", [0, 30])
def test_contracts_that_follow_each_other_are_joined_by_their_multipliers(
    build: Builder, whole: MarketData, overlap: int
) -> None:
    built = build(replaced(120, overlap=overlap))  # type: ignore[arg-type]  # parameters are objects
    assert built.told == ["joined: PEPEUSDT on bybit: 1000PEPE/USDT:USDT until 2024-05-05T23:00Z, then PEPE/USDT:USDT"]
    leg, other = built.market.leg("PEPEUSDT", "bybit"), whole.leg("PEPEUSDT", "bybit")
    for kind in ("price", "fill_price", "funding_rate", "volume_24h_usd"):
        np.testing.assert_allclose(getattr(built.market, kind)[leg], getattr(whole, kind)[other], rtol=1e-12)
    assert_same_but_for(built.market, whole, ("PEPEUSDT", "bybit"))
    assert build(replaced(120, overlap=overlap), "--strict").code == 0  # type: ignore[arg-type]  # parameters are objects


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (replaced(120, prices_fit=False), "their multipliers do not fit"),
        (replaced(120, overlap=30, prices_fit=False), "with different data; keep one of them"),
        (replaced(220, overlap=200), "with different data; keep one of them"),
    ],
)
def test_contracts_that_contradict_each_other_are_left_out(
    build: Builder, whole: MarketData, edit: object, reason: str
) -> None:
    built = build(edit)  # type: ignore[arg-type]  # parameters are objects
    assert built.code == 0
    (line,) = built.told
    assert line.startswith("left out: PEPEUSDT on bybit: bybit lists it as 1000PEPE/USDT:USDT")
    assert reason in line
    assert_same_but_for(built.market, whole, ("PEPEUSDT", "bybit"))
    assert build(edit, "--strict").code == 2  # type: ignore[arg-type]  # parameters are objects


def test_exchanges_have_one_name_whoever_wrote_the_table(build: Builder, whole: MarketData) -> None:
    written = {"binance": "Binance Futures", "bybit": "BYBIT", "okx": "okex"}

    def edit(prices: Tables, funding: Tables) -> None:
        for key in list(prices):
            prices[key] = prices[key].assign(exchange=written[key[1]])
            funding[key] = funding[key].assign(exchange=key[1].title())

    built = build(edit)
    assert (built.code, built.told) == (0, [])
    assert_same_but_for(built.market, whole)


def test_names_that_may_be_mistakes_are_told(build: Builder) -> None:
    def edit(prices: Tables, funding: Tables) -> None:
        for tables in (prices, funding):
            tables["ETH", "bybit"] = tables["ETH", "bybit"].assign(base="eth", exchange="Binnance")

    built = build(edit)
    assert built.told == [
        "note: binnance is none of arb's exchanges (nearest: binanceusdm); its fees must stand in a --config",
        "note: ETHUSDT and ethUSDT differ by case only: they are kept as different coins",
    ]
    assert {"ETHUSDT", "ethUSDT"} < set(built.market.symbols)
    assert len({path.name.casefold() for path in (built.folder / "price_history").iterdir()}) == 4


def test_rows_that_do_not_say_whose_they_are_are_left_out(build: Builder, whole: MarketData) -> None:
    def edit(prices: Tables, _: Tables) -> None:
        prices["ETH", "bybit"].loc[3, "base"] = None
        prices["ETH", "bybit"].loc[4, "exchange"] = ""

    built = build(edit)
    assert built.told == ["left out: 2 rows of prices_1h.parquet without exchange, symbol or base"]
    assert_same_but_for(built.market, whole, ETH)


@pytest.mark.parametrize(
    ("options", "coins"),
    [
        (("--symbols", "BTC/USDT:USDT,eth"), {"BTCUSDT", "ETHUSDT"}),
        (("--symbols", "1000PEPEUSDT"), {"PEPEUSDT"}),
        (("--exclude", "BTC-USDT-SWAP, PEPE_USDC"), {"ETHUSDT"}),
        (("--symbols", "BTC,ETH", "--exclude", "ETH"), {"BTCUSDT"}),
    ],
)
def test_coins_can_be_chosen_and_left_out(
    build: Builder, whole: MarketData, options: tuple[str, ...], coins: set[str]
) -> None:
    built = build(nothing, *options)
    assert (built.code, built.told) == (0, [])
    assert set(built.market.symbols) == coins
    others = [leg for leg in legs_of(whole) if leg[0] not in coins]
    assert_same_but_for(built.market, whole, *others)


def test_a_leg_can_be_cured_by_leaving_its_coin_out(build: Builder) -> None:
    assert build(listed_two_hours_ago, "--strict").code == 2
    assert build(listed_two_hours_ago, "--strict", "--exclude", "ETH").code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--symbols", "BTC/EUR"), "symbol 'BTC/EUR' is not of the form"),
        (("--exclude", ","), "--exclude names no coin"),
        (("--symbols", "BTC", "--exclude", "BTCUSDT"), "takes away every coin"),
        (("--symbols", "XRP"), "no leg is left: none of the coins there is wanted"),
        (("--name", "../x"), "--name '../x' begins with '.'"),
    ],
)
def test_choices_that_make_no_sense_are_refused(build: Builder, options: tuple[str, ...], message: str) -> None:
    built = build(nothing, *options)
    assert (built.code, built.err.count("\n")) == (2, 1)
    assert message in built.err


def test_a_coin_that_is_not_there_is_told(build: Builder) -> None:
    assert build(nothing, "--exclude", "XRP").told == ["note: prices_1h.parquet has no XRPUSDT"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.dt.tz_localize(None), "timestamp has no time zone (2024-05-01 00:00:00)"),
        (lambda s: s.astype(str), "not times (first: 2024-05-01 00:00:00+00:00)"),
        (lambda s: s.dt.as_unit("s").astype("int64"), "not times (first: 1714521600, likely seconds since 1970)"),
        (lambda s: s.dt.as_unit("ms").astype("int64"), "(first: 1714521600000, likely milliseconds since 1970)"),
        (lambda s: s.dt.as_unit("us").astype("int64"), "likely microseconds since 1970"),
        (lambda s: s.dt.as_unit("ns").astype("int64"), "likely nanoseconds since 1970"),
        (lambda s: s.dt.as_unit("ms").astype("int64").astype(float), "likely milliseconds since 1970"),
        (lambda s: s.dt.as_unit("ms").astype("int64").astype(str), "likely milliseconds since 1970"),
        (lambda s: s.dt.date, "holds date32[day], not times"),
    ],
)
@pytest.mark.parametrize("table", ["prices", "funding"])
def test_a_column_of_times_that_holds_none_says_what_it_seems_to_hold(
    build: Builder, change: object, message: str, table: str
) -> None:
    column = "timestamp" if table == "prices" else "settlement_time"

    def edit(prices: Tables, funding: Tables) -> None:
        tables = prices if table == "prices" else funding
        for key, frame in tables.items():
            tables[key] = frame.assign(**{column: change(frame[column])})  # type: ignore[operator]  # parameters are objects

    built = build(edit)
    assert (built.code, built.err.count("\n")) == (2, 1)
    assert message.replace("timestamp", column) in built.err
    assert f"{column} " in built.err


def test_a_whole_table_in_another_unit_is_refused_with_the_unit(build: Builder) -> None:
    def edit(prices: Tables, _: Tables) -> None:
        for key, frame in prices.items():
            stamps = frame.timestamp.dt.as_unit("us").astype("int64").to_numpy().astype("datetime64[ms]")
            prices[key] = frame.assign(timestamp=pd.Series(stamps).dt.tz_localize("UTC"))

    built = build(edit)
    assert (built.code, built.err.count("\n")) == (2, 1)
    assert "likely microseconds read as milliseconds; no leg is left" in built.err


def test_build_shows_what_validate_finds(build: Builder) -> None:
    def edit(prices: Tables, _: Tables) -> None:
        prices["ETH", "bybit"] = prices["ETH", "bybit"].drop(index=range(50, 60))

    built = build(edit)
    assert "warning: gap in prices (1)\n  ETHUSDT.parquet bybit 2024-05-03T03:00Z: no price for 10 h\n" in built.out
    assert built.out.splitlines()[-1] == f"{built.folder}: 0 errors, 1 warning"


def test_coins_of_any_script_are_built_and_read(build: Builder) -> None:
    prices = [bars(exchange, "币安人生", [1.0, 1.1, 1.2] * 10) for exchange in ("binance", "gate.io")]
    funding = [settlements(exchange, "币安人生", {0: 1e-4, 8: 1e-4}) for exchange in ("binance", "GateIO")]
    built = build.of(prices, funding)
    assert built.code == 0
    assert (built.market.symbols, built.market.exchanges) == (("币安人生USDT",), ("binanceusdm", "gate"))
