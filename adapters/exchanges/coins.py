"""From the names of contracts to coins: ``1000PEPE``, ``kPEPE`` and ``PEPE`` are one coin with three multipliers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from adapters.exchanges.fields import milliseconds, positive
from adapters.exchanges.quirks import Quirks
from engine.errors import UserError

THOUSANDS_BEFORE = re.compile(r"^(10{3,})([A-Z][A-Z0-9]*)$")  # 1000PEPE, 1000000MOG
THOUSANDS_AFTER = re.compile(r"^([A-Z]+)(10{3,})$")  # SHIB1000 (bybit)
MILLION = re.compile(r"^1M([A-Z][A-Z0-9]{2,})$")  # 1MBABYDOGE (binance)
KILO = re.compile(r"^k([A-Z][A-Z0-9]*)$")  # kPEPE (hyperliquid); the small letter is what tells it from KAS
NOT_SCALED = frozenset({"1000X"})  # a coin that is really called so
QUOTE_SUFFIXES = ("USDT", "USDC")


@dataclass(frozen=True)
class Listing:
    """One perpetual contract as an exchange lists it. One coin is ``1 / multiplier`` of a listed unit."""

    exchange: str
    coin: str  # PEPE
    listed: str  # 1000PEPE/USDT:USDT, the name ccxt takes
    multiplier: int  # 1000: listed prices are divided by it
    contract_size: float  # listed units in one contract
    quote_currency: str  # USDT, or USDC which counts at par
    created_ms: int | None  # when it was listed, where the exchange says so

    @property
    def symbol(self) -> str:
        """The coin pair as a person writes it; USDC counts as USDT."""
        return symbol_of(self.coin)


def symbol_of(coin: str) -> str:
    """``PEPE`` to ``PEPEUSDT``."""
    return f"{coin}USDT"


def coin_of(symbol: str) -> str:
    """The coin of a symbol as a person writes it: ``BTCUSDT``, ``btcusdc`` or ``1000PEPEUSDT``.

    Raises ``UserError`` when it does not end in USDT or USDC.
    """
    name = symbol.strip().upper()
    for suffix in QUOTE_SUFFIXES:
        if name.endswith(suffix) and len(name) > len(suffix):
            return split_name(name.removesuffix(suffix))[0]
    raise UserError(f"symbol {symbol!r} is not of the form BTCUSDT")


def split_name(name: str) -> tuple[str, int]:
    """(coin, multiplier) of a base name as the exchange writes it."""
    upper = name.upper()
    if upper in NOT_SCALED:
        return upper, 1
    if found := KILO.match(name):
        return found[1], 1000
    if found := THOUSANDS_BEFORE.match(upper):
        return found[2], int(found[1])
    if found := THOUSANDS_AFTER.match(upper):
        return found[1], int(found[2])
    if found := MILLION.match(upper):
        return found[1], 1_000_000
    return upper, 1


def listings(exchange: str, markets: Iterable[Mapping[str, Any]], quirks: Quirks) -> dict[str, Listing]:
    """The contract to use for every coin: live linear perpetuals only, one per coin.

    Of several the preferred quote currency wins, then the smallest multiplier.
    """
    best: dict[str, Listing] = {}
    for market in markets:
        if not _is_live_perpetual(market, quirks):
            continue
        try:
            listing = _listing(exchange, market, quirks)
        except (KeyError, TypeError):
            continue  # a row that names no contract must not cost the exchange's other coins
        rival = best.get(listing.coin)
        if rival is None or _preference(listing, quirks) < _preference(rival, quirks):
            best[listing.coin] = listing
    return best


def _is_live_perpetual(market: Mapping[str, Any], quirks: Quirks) -> bool:
    return bool(
        market.get("swap")
        and market.get("linear")
        and market.get("active") is not False
        and market.get("quote") in quirks.quotes
        and market.get("settle") == market.get("quote")
    )


def _listing(exchange: str, market: Mapping[str, Any], quirks: Quirks) -> Listing:
    coin, multiplier = split_name(str(market[quirks.scaled_name]))
    return Listing(
        exchange=exchange,
        coin=coin,
        listed=str(market["symbol"]),
        multiplier=multiplier,
        contract_size=positive(market.get("contractSize")) or 1.0,
        quote_currency=str(market["quote"]),
        created_ms=milliseconds(market.get("created")),
    )


def _preference(listing: Listing, quirks: Quirks) -> tuple[int, int, str]:
    return quirks.quotes.index(listing.quote_currency), listing.multiplier, listing.listed
