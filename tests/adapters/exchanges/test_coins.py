"""Names of contracts to coins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ccxt
import pytest

from adapters.datasets.instruments import read_instruments
from adapters.exchanges.coins import listings
from adapters.exchanges.instrument_store import record_instruments
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


def test_steps_are_of_coins_and_what_is_not_stated_is_unknown() -> None:
    stated = {
        "contractSize": 0.1,
        "precision": {"price": 0.0001, "amount": 0.3},
        "limits": {"cost": {"min": 5}, "leverage": {"max": 50}},
    }
    listing = listings("bybit", [market("1000PEPE", **stated)], QUIRKS["bybit"])["PEPE"]
    # 0.3 contracts of 0.1 units of 1000 coins, to the short decimal number that it is.
    assert (listing.tick, listing.lot, listing.min_notional_usd, listing.max_leverage) == (1e-7, 30.0, 5.0, 50.0)
    unknown = {"precision": {"price": None}, "limits": {"cost": None, "leverage": {"max": "0"}}}
    bare = listings("bybit", [market("BTC", **unknown)], QUIRKS["bybit"])["BTC"]
    assert (bare.tick, bare.lot, bare.min_notional_usd, bare.max_leverage) == (None, None, None, None)


@pytest.mark.parametrize("exchange", sorted(QUIRKS))
def test_ccxt_states_precision_as_steps(exchange: str) -> None:
    """Were it counts of digits, a step of 0.001 would read as 3."""
    assert getattr(ccxt, exchange)().precisionMode == ccxt.TICK_SIZE


def test_what_changes_is_added_with_the_hour_at_which_it_was_seen(tmp_path: Path) -> None:
    def seen(step: float | None, minutes: int) -> None:
        listed = market("BTC", precision={"amount": step})
        found = listings("bybit", [listed], QUIRKS["bybit"]).values()
        record_instruments(tmp_path, found, 1_700_000_000_000 // 3_600_000 * 3_600_000 + minutes * 60_000)

    file = tmp_path / "instruments.parquet"
    seen(None, 1)
    assert not file.exists()
    for step, minutes in ((0.001, 1), (0.001, 70), (0.01, 130), (0.1, 140), (0.1, 200)):
        seen(step, minutes)
    rows = read_instruments(file)
    assert [(row.since_hour - rows[0].since_hour, row.lot) for row in rows] == [(0, 0.001), (2, 0.1)]
