"""Names from outside: the rule, file names that never collide, exchanges and coins under their usual names."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.exchanges.quirks import QUIRKS
from adapters.naming.exchanges import ALIASES, by_canonical_exchange, canonical_exchange, nearest_exchange
from adapters.naming.names import (
    LONGEST,
    checked_name,
    contract_stem,
    file_stem,
    name_of_stem,
    problem_of,
    shown,
    stem_of_text,
)
from adapters.naming.symbols import coin_of, contract_in, contract_of, split_name, symbol_among
from engine.errors import UserError

NAMES = st.text(st.characters(codec="utf-8"), max_size=50)


@pytest.mark.parametrize("name", ["BTC", "1INCH", "币安人生", "FLX-CRCL", "A.B_C", "Ä", "нет", "हिन्दी", "x" * LONGEST])
def test_letters_of_any_script_digits_and_few_marks_are_names(name: str) -> None:
    assert problem_of(name) is None


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "is empty"),
        ("../x", "begins with '.'"),
        ("/etc/x", "begins with '/'"),
        (".hidden", "begins with '.'"),
        ("..", "begins with '.'"),
        ("a/b", "holds '/'"),
        ("a\\b", "holds '\\\\'"),
        ("a:b", "holds ':'"),
        ("a\x00", "holds the character U+0000"),
        ("a\nb", "holds the character U+000A"),
        ("a\u202eb", "holds the character U+202E"),
        ("\u0301a", "begins with the character U+0301"),
        ("=HYPERLINK(1)", "begins with '='"),
        ("-rf", "begins with '-'"),
        ("~x", "begins with '~'"),
        ("BTC ", "holds ' '"),
        ("BTC.", "ends with '.'"),
        ("🚀", "begins with '🚀'"),
        ("x" * (LONGEST + 1), "is longer than 40"),
        ("\ud800", "begins with the character U+D800"),
    ],
)
def test_anything_else_is_refused_in_one_line(name: str, problem: str) -> None:
    with pytest.raises(UserError) as refused:
        checked_name(name, "coin")
    assert problem in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 200


def test_composed_and_decomposed_letters_are_one_name() -> None:
    assert checked_name("E\u0301", "coin") == checked_name("\u00c9", "coin") == "É"


@settings(max_examples=400, deadline=None)
@given(st.lists(NAMES, min_size=2, max_size=6))
def test_different_names_have_different_files_on_every_file_system(names: list[str]) -> None:
    usual = {unicodedata.normalize("NFC", name) for name in names}
    allowed = sorted(name for name in usual if problem_of(name) is None)
    twins = [*allowed, *(name.lower() for name in allowed), *(name.upper() for name in allowed)]
    allowed = sorted({name for name in twins if problem_of(unicodedata.normalize("NFC", name)) is None})
    allowed = sorted({unicodedata.normalize("NFC", name) for name in allowed})
    stems = [file_stem(name) for name in allowed]
    assert len({unicodedata.normalize("NFD", stem).casefold() for stem in stems}) == len(allowed)
    assert [name_of_stem(unicodedata.normalize("NFD", stem)) for stem in stems] == allowed
    assert not any(character in stem for stem in stems for character in '/\\:\0*?"<>|')


@pytest.mark.parametrize("name", ["CON", "con", "NUL", "COM1", "LPT9", "AUX.BTC"])
def test_names_of_devices_are_no_file_names(name: str) -> None:
    assert file_stem(name).upper().split(".")[0] not in {"CON", "NUL", "COM1", "LPT9", "AUX"} or "~" in file_stem(name)
    assert file_stem(name) != name
    assert name_of_stem(file_stem(name)) == name


def test_contracts_of_any_script_and_case_have_a_file_each() -> None:
    contracts = [
        "币安人生/USDT:USDT",
        "我踏马来了/USDT:USDT",
        "PEPE/USDT:USDT",
        "pepe/USDT:USDT",
        "PE-PE/USDT:USDT",
        "PE_PE/USDT:USDT",
    ]
    contracts += ["BTC_USDT_USDT", "BTC/USDT:USDT", "BTC/USDT/USDT", "../../x", "x" * 300, "x" * 301]
    stems = [contract_stem(contract) for contract in contracts]
    assert len({stem.casefold() for stem in stems}) == len(contracts)
    assert contract_stem("1000PEPE/USDT:USDT") == "1000PEPE_USDT_USDT"
    assert all(set(stem) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_~") for stem in stems)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=150))
def test_any_text_becomes_a_file_name_that_stays_where_it_is(text: str) -> None:
    stem = stem_of_text(text)
    assert stem not in ("", ".", "..")
    assert not stem.startswith((".", "-"))
    assert len(stem) <= 100
    assert "/" not in stem
    assert "\0" not in stem


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_a_name_is_shown_in_one_short_line(text: str) -> None:
    assert shown(text).isprintable()
    assert len(shown(text)) < 700


def test_every_supported_exchange_has_its_names() -> None:
    assert set(ALIASES) == set(QUIRKS)
    assert all(canonical_exchange(name) == name for name in QUIRKS)


@pytest.mark.parametrize(
    ("name", "exchange"),
    [
        ("binance", "binanceusdm"),
        ("Binance", "binanceusdm"),
        ("binance futures", "binanceusdm"),
        ("binance-futures", "binanceusdm"),
        ("BINANCE_PERPETUAL", "binanceusdm"),
        ("binance usd-m", "binanceusdm"),
        ("BinanceUSDM", "binanceusdm"),
        ("gateio", "gate"),
        ("Gate.io", "gate"),
        ("gate_io_perpetual", "gate"),
        ("okex", "okx"),
        ("OKX-SWAP", "okx"),
        ("kucoin", "kucoinfutures"),
        ("KuCoin Futures", "kucoinfutures"),
        ("hyperliquid-perp", "hyperliquid"),
        ("hyperliquid_perpetual", "hyperliquid"),
        ("bybit-linear", "bybit"),
        ("bitget-usdt-futures", "bitget"),
        ("MEXC Global", "mexc"),
        (" okx ", "okx"),
    ],
)
def test_an_exchange_under_its_usual_names(name: str, exchange: str) -> None:
    assert canonical_exchange(name) == exchange


@pytest.mark.parametrize(
    "name", ["binanceus", "binance-spot", "binance coin-m", "bybit inverse", "../binance", "dydx", "futures", ""]
)
def test_other_exchanges_and_other_markets_are_none_of_them(name: str) -> None:
    assert canonical_exchange(name) not in ALIASES


def test_the_nearest_exchange_is_named() -> None:
    assert nearest_exchange("binnance") == "binanceusdm"
    assert nearest_exchange("hyperlicuid") == "hyperliquid"
    with pytest.raises(UserError, match="fees names okx twice, as 'okex' and as 'OKX'"):
        by_canonical_exchange({"okex": 1, "OKX": 2}, "fees")


@pytest.mark.parametrize(
    "symbol",
    [
        "BTC", "btc", "BTCUSDT", "btcusdt", "BTC/USDT", "BTC/USDT:USDT", "BTC-USDT", "BTC_USDT", "BTC-USDT-SWAP",
        "BTCUSDC", "BTC/USDC:USDC", "BTC-USDC", "btc_usdc", "BTC-USDC-SWAP", "XBTUSDTM", "BTCUSDTM", "BTC-PERP",
        "BTCUSDT.P", "BTCUSDT_PERP", " BTCUSDT ",
    ],
)  # fmt: skip
def test_every_spelling_of_a_symbol_is_read(symbol: str) -> None:
    assert coin_of(symbol) == "BTC"


@pytest.mark.parametrize(
    ("symbol", "coin"),
    [
        ("1000PEPE/USDT:USDT", "PEPE"),
        ("kPEPE/USDC:USDC", "PEPE"),
        ("PERPUSDT", "PERP"),
        ("PERP", "PERP"),
        ("USDCUSDT", "USDC"),
        ("FLX-CRCL/USDC:USDC", "FLX-CRCL"),
        ("龙虾_USDT", "龙虾"),
        ("1000USDT", "1000"),
    ],
)
def test_symbols_of_special_coins(symbol: str, coin: str) -> None:
    assert coin_of(symbol) == coin


@pytest.mark.parametrize(
    "symbol",
    [
        "", " ", "USDT", "USDC", "USDTUSDT", "BTCUSDTUSDT", "BTC/EUR", "BTC-EUR", "BTC/USDT:USDC", "BTC/USDT:BTC",
        "BTC/USD:BTC", "BTC-USD-SWAP", "BTCUSD_PERP", "BTC/USDT:USDT-240628", "BTC-240628", "BTCUSDT-240628",
        "BTC/USDT/USDT", "BTC USDT", "BTC\nUSDT", "BTC--USDT", "../xUSDT", "/etc/x", "a/b/USDT", "BTC\\USDT",
        "=1+1USDT", "BTC.USDT", "/USDT", "🚀USDT", "BTCUSDT\x00", "x" * 41 + "USDT",
    ],
)  # fmt: skip
def test_what_is_no_symbol_is_refused_and_never_half_read(symbol: str) -> None:
    with pytest.raises(UserError) as refused:
        coin_of(symbol)
    assert str(refused.value).isprintable()


@settings(max_examples=500, deadline=None)
@given(NAMES)
def test_a_symbol_is_a_coin_that_keeps_the_rule_or_refused(text: str) -> None:
    try:
        coin = coin_of(text)
    except UserError:
        return
    assert problem_of(coin) is None
    assert "/" not in coin
    assert coin_of(f"{coin}/USDT:USDT") == split_name(coin)[0]


def test_a_symbol_is_found_among_others_in_any_spelling() -> None:
    present = ("BTCUSDT", "kPEPEUSDT")
    assert symbol_among("BTC/USDT:USDT", present) == "BTCUSDT"
    assert symbol_among("kPEPEUSDT", present) == "kPEPEUSDT"
    assert symbol_among("ETH", present) == "ETH"


@pytest.mark.parametrize(
    ("name", "exchange", "coin", "multiplier", "listed"),
    [
        ("BTCUSDT", "binanceusdm", "BTC", 1, "BTC/USDT:USDT"),
        ("btc-usdc", "okx", "BTC", 1, "BTC/USDC:USDC"),
        ("BTC_USDT_USDT", "bybit", "BTC", 1, "BTC/USDT:USDT"),
        ("1000PEPE/USDT:USDT", "bybit", "PEPE", 1000, "1000PEPE/USDT:USDT"),
        ("1MBABYDOGEUSDT", "binanceusdm", "BABYDOGE", 1_000_000, "1MBABYDOGE/USDT:USDT"),
        ("XBTUSDTM", "kucoinfutures", "BTC", 1, "BTC/USDT:USDT"),
        ("kPEPE", "hyperliquid", "PEPE", 1000, "KPEPE/USDC:USDC"),
        ("KPEPE_USDC_USDC", "hyperliquid", "PEPE", 1000, "KPEPE/USDC:USDC"),
        ("KPEPEUSDT", "bybit", "KPEPE", 1, "KPEPE/USDT:USDT"),
        ("KAS", "hyperliquid", "KAS", 1, "KAS/USDC:USDC"),
        ("KAITO", "hyperliquid", "KAITO", 1, "KAITO/USDC:USDC"),
    ],
)
def test_a_contract_is_read_out_of_its_name(name: str, exchange: str, coin: str, multiplier: int, listed: str) -> None:
    found = contract_of(name, exchange, QUIRKS[exchange].quotes[0])
    assert (found.coin, found.multiplier, found.listed) == (coin, multiplier, listed)
    # Written as ccxt does it is the same contract.
    assert contract_of(found.listed, exchange) == found


@pytest.mark.parametrize(
    "name", ["BTCUSD_PERP", "BTCUSDT_240329", "BTC-USD-SWAP", "BTC_USDC_USDT", "ETH!USDT", "", "USDT"]
)
def test_a_name_that_is_of_no_linear_perpetual_is_refused(name: str) -> None:
    with pytest.raises(UserError):
        contract_of(name, "binanceusdm")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("BTC_USDT_USDT-1h", "BTC_USDT_USDT"),
        ("funding_BTC_USDT_2024", "BTC_USDT"),
        ("ohlcv binance BTCUSDT 1h", "BTCUSDT"),
        ("1000PEPEUSDT", "1000PEPEUSDT"),
        ("BTC-USDT-SWAP.2024", "BTC-USDT-SWAP"),
        ("data_2024", None),
        ("BTC", None),
        ("", None),
    ],
)
def test_the_contract_in_a_file_name_is_found(text: str, name: str | None) -> None:
    assert contract_in(text) == name
