"""Names that people, files and exchanges may bring, at every door that takes one: refused in one line, or harmless."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from support_datasets import (
    as_loaded,
    assert_same_market,
    info_of,
    opportunity,
    prices_frame,
    small_market,
    write_frame,
)

from adapters.configuration.settings import load_settings
from adapters.configuration.strategy_registry import load_strategy_class
from adapters.datasets.load import load_dataset
from adapters.datasets.selection import selection_of
from adapters.datasets.write import write_dataset
from adapters.exchanges.coins import listings
from adapters.exchanges.quirks import QUIRKS
from adapters.exchanges.settings import chosen_exchanges, exchanges_settings
from adapters.naming.exchanges import ALIASES, canonical_exchange
from adapters.naming.names import contract_stem, file_stem, name_of_stem, problem_of, stem_of_text
from adapters.naming.symbols import coin_of
from adapters.research.markets import filtered
from engine.errors import ArbError

NAME = "names"
PARTS = (
    "BTC", "btc", "ETH", "USDT", "USDC", "/", ":", "-", "_", ".", "..", "\\", " ", "\0", "\n", "\r", "\t",
    "'", '"', "=", "+", "@", "~", "%", "$HOME", "`", "1000", "k", "1M", "SWAP", "PERP", "M", "binance", "Binance",
    "okex", "gate", "futures", "é", "e\u0301", "ß", "\u017f", "İ", "\u0131", "ǆ", "币安人生",
    "हिन्दी", "नि", "\u202e", "\u200d",
    "\ufeff", "\U0001f680", "\ud800", "\uff22\uff34\uff23", "\U0001d401", "CON", "nul", "COM1", "x" * 45, "x" * 4_000,
    "\x1b[2J", "*", "{}", "[]", "null", "true", "1e5",
)  # fmt: skip
"""Pieces of names; ``\\u`` where the character itself could not be seen, or told from another one."""

Rng = np.random.Generator
Door = Callable[[str, Path], None]
"""Takes a name; raises ``ArbError`` to refuse it, and ``AssertionError`` when something wrong came of it."""


def case(rng: Rng, folder: Path) -> str:
    """One name at one door."""
    name = "".join(PARTS[int(i)] for i in rng.integers(len(PARTS), size=int(rng.integers(1, 5))))
    door = DOORS[int(rng.integers(len(DOORS)))]
    inside, before = folder / "inside", {*folder.parent.iterdir()}
    inside.mkdir()
    try:
        door(name, inside)
    except ArbError as error:
        told = str(error)
        assert told.isprintable(), (door.__name__, name, told)
        assert len(told) < 1_000, (door.__name__, name, told)
        return "refused"
    finally:
        assert {*folder.iterdir()} == {inside}, (door.__name__, name)
        assert {*folder.parent.iterdir()} == before, (door.__name__, name)
    return "accepted"


def a_symbol(name: str, _: Path) -> None:
    coin = coin_of(name)
    assert problem_of(coin) is None
    assert not set(coin) & set("/\\:\0\n")
    kept = selection_of(name.replace(",", ""), None)
    assert kept.keeps(f"{coin}USDT")


def an_exchange(name: str, _: Path) -> None:
    (exchange,) = chosen_exchanges(None, name.replace(",", "")).exchanges
    assert exchange in QUIRKS
    assert canonical_exchange(exchange) == exchange == canonical_exchange(name.upper())


def an_exchange_of_a_configuration(name: str, _: Path) -> None:
    assert set(exchanges_settings({"exchanges": {name: {}}}, origin="x").exchanges) <= set(ALIASES)


def an_exchange_of_the_fees(name: str, folder: Path) -> None:
    path = folder / "mine.yaml"
    rows = [{"since": "2024-01-01", "maker": 0.0, "taker": 0.0007}]
    path.write_text(yaml.safe_dump({"fees": {name: rows}}), encoding="utf-8")
    fees = load_settings(path).fees
    assert fees[canonical_exchange(name)][0].taker == 0.0007


def a_contract_of_an_exchange(name: str, _: Path) -> None:
    info = {"deliveryTime": name, "deliveryDate": name, "expTime": name}
    market = {
        "symbol": f"{name}/USDT:USDT", "base": name, "baseName": name, "quote": "USDT", "settle": "USDT", "swap": True,
        "linear": True, "active": True, "contractSize": None, "created": name, "info": info,
    }  # fmt: skip
    for exchange in ("bybit", "binanceusdm", "okx"):
        for coin, listing in listings(exchange, [market], QUIRKS[exchange]).items():
            assert problem_of(coin) is None
            assert coin_of(listing.symbol) == coin
            stem = contract_stem(listing.listed)
            assert not set(stem) & set("/\\:.\0\n")
            assert len(stem.encode()) < 200


def a_coin_of_a_data_set(name: str, folder: Path) -> None:
    usual = unicodedata.normalize("NFC", name)
    market = small_market(2, [(usual, "bybit"), (usual, "okx"), (f"{usual}x", "okx")])
    write_dataset(market, folder / "set", info_of(market))
    assert len([*(folder / "set").rglob("*")]) == 4
    assert_same_market(load_dataset(folder / "set", cache=False).market, as_loaded(market))


def an_exchange_of_a_data_set(name: str, folder: Path) -> None:
    exchange = canonical_exchange(name)
    market = small_market(2, [("BTCUSDT", exchange), ("BTCUSDT", f"{exchange}x")])
    write_dataset(market, folder / "set", info_of(market))
    assert load_dataset(folder / "set", cache=False).market.exchanges == market.exchanges


def a_column_of_an_older_file(name: str, folder: Path) -> None:
    name = _in_a_file(name)
    prices = folder / "price_history"
    prices.mkdir()
    frame = prices_frame(2).assign(**{f"{name}_price": [1.0, 2.0], f"{name}_funding_rate": [1e-4, 0.0]})
    write_frame(frame, prices / "BTCUSDT.parquet")
    loaded = load_dataset(folder, cache=False).market
    assert set(loaded.exchanges) == {"binanceusdm", "bybit", canonical_exchange(name)}


def a_symbol_of_older_opportunities(name: str, folder: Path) -> None:
    name = _in_a_file(name)
    prices = folder / "price_history"
    prices.mkdir()
    write_frame(prices_frame(4), prices / "BTCUSDT.parquet")
    rows = [opportunity("2024-05-01T02:00Z"), opportunity("2024-05-01T03:00Z", symbol=name, long=name)]
    write_frame(pd.DataFrame(rows), folder / "opportunities.parquet")
    loaded = load_dataset(folder, cache=False)
    assert loaded.market.recorded is not None
    assert 1 <= len(loaded.market.recorded.pair) <= 2
    assert all(note.isprintable() for note in loaded.notes)


def _in_a_file(name: str) -> str:
    """What of a name a file can hold."""
    return name.encode("utf-8", "ignore").decode() or "x"


def a_filter(name: str, _: Path) -> None:
    market = filtered(small_market(2), load_settings(None, [f"filters.symbols={yaml.safe_dump([name])}"]).filters)
    assert market.symbols in (("BTCUSDT",), ("ETHUSDT",))


def a_strategy(name: str, _: Path) -> None:
    load_strategy_class(name)


def a_file_name(name: str, folder: Path) -> None:
    stem = stem_of_text(name)
    (folder / f"{stem}.json").write_text("{}")
    if problem_of(unicodedata.normalize("NFC", name)) is None:
        assert name_of_stem(file_stem(unicodedata.normalize("NFC", name))) == unicodedata.normalize("NFC", name)


DOORS: tuple[Door, ...] = (
    a_symbol,
    an_exchange,
    an_exchange_of_a_configuration,
    an_exchange_of_the_fees,
    a_contract_of_an_exchange,
    a_coin_of_a_data_set,
    an_exchange_of_a_data_set,
    a_column_of_an_older_file,
    a_symbol_of_older_opportunities,
    a_filter,
    a_strategy,
    a_file_name,
)
