"""Names of contracts to coins."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.exchanges.coins import listings
from adapters.exchanges.quirks import QUIRKS
from adapters.naming.symbols import coin_of, split_name
from engine.errors import UserError


@pytest.mark.parametrize(
    ("name", "coin", "multiplier"),
    [
        ("BTC", "BTC", 1),
        ("1000PEPE", "PEPE", 1000),
        ("kPEPE", "PEPE", 1000),
        ("1000000MOG", "MOG", 1_000_000),
        ("SHIB1000", "SHIB", 1000),
        ("1MBABYDOGE", "BABYDOGE", 1_000_000),
        ("KAS", "KAS", 1),
        ("KPEPE", "KPEPE", 1),
        ("1INCH", "1INCH", 1),
        ("1000X", "1000X", 1),
        ("100T", "100T", 1),
    ],
)
def test_scaled_names_are_one_coin(name: str, coin: str, multiplier: int) -> None:
    assert split_name(name) == (coin, multiplier)


@pytest.mark.parametrize(
    ("symbol", "coin"), [("BTCUSDT", "BTC"), (" btcusdc ", "BTC"), ("1000PEPEUSDT", "PEPE"), ("KASUSDT", "KAS")]
)
def test_symbols_as_people_write_them(symbol: str, coin: str) -> None:
    assert coin_of(symbol) == coin


@pytest.mark.parametrize("symbol", ["USDT", "BTC/EUR", ""])
def test_a_symbol_without_its_dollar_is_refused(symbol: str) -> None:
    with pytest.raises(UserError, match="BTCUSDT"):
        coin_of(symbol)


def market(base: str, quote: str = "USDT", **changes: Any) -> dict[str, Any]:
    values = {"swap": True, "linear": True, "active": True, "contractSize": 1.0, "created": 0, "baseName": base}
    return {"symbol": f"{base}/{quote}:{quote}", "base": base, "quote": quote, "settle": quote, **values, **changes}


def test_of_several_contracts_the_usual_one_is_used() -> None:
    found = listings(
        "bybit", [market("BTC", "USDC"), market("BTC"), market("1000PEPE"), market("PEPE")], QUIRKS["bybit"]
    )
    assert {coin: listing.listed for coin, listing in found.items()} == {
        "BTC": "BTC/USDT:USDT",
        "PEPE": "PEPE/USDT:USDT",
    }


def test_what_cannot_be_traded_is_not_listed() -> None:
    markets = [
        market("BTC", active=False),
        market("ETH", swap=False),
        market("SOL", linear=False),
        market("XRP", settle="XRP"),
        market("ADA", "EUR"),
    ]
    assert listings("bybit", markets, QUIRKS["bybit"]) == {}


def test_the_small_k_of_hyperliquid_is_read_from_its_own_name() -> None:
    markets = [market("KPEPE", "USDC", baseName="kPEPE"), market("KAS", "USDC", baseName="KAS")]
    found = listings("hyperliquid", markets, QUIRKS["hyperliquid"])
    assert (found["PEPE"].multiplier, found["PEPE"].quote_currency, found["KAS"].multiplier) == (1000, "USDC", 1)
