"""Coins: how a person writes one, and that ``1000PEPE``, ``kPEPE`` and ``PEPE`` are one with three multipliers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from adapters.naming.names import LONGEST, MARKS, checked_name, shown
from engine.errors import UserError

QUOTE = "USDT"
QUOTES = (QUOTE, "USDC")
"""USDC counts as USDT."""
LONGEST_SYMBOL = LONGEST + len(QUOTE)

THOUSANDS_BEFORE = re.compile(r"(10{3,9})([A-Z][A-Z0-9]*)")  # 1000PEPE, 1000000MOG
THOUSANDS_AFTER = re.compile(r"([A-Z]+)(10{3,9})")  # SHIB1000 (bybit)
MILLION = re.compile(r"1M([A-Z][A-Z0-9]{2,})")  # 1MBABYDOGE (binance)
KILO = re.compile(r"k([A-Z][A-Z0-9]*)")  # kPEPE (hyperliquid); the small letter is what tells it from KAS
NOT_SCALED = frozenset({"1000X"})  # a coin that is really called so
OTHER_NAMES = {"XBT": "BTC"}
KILO_IN_CAPITALS = {
    "hyperliquid": frozenset({"KPEPE", "KSHIB", "KBONK", "KLUNC", "KFLOKI", "KDOGS", "KNEIRO"}),
}
"""By exchange the names that ccxt writes in capitals though a small k stands before a coin; KAS and KAITO are coins."""

_QUOTE = f"(?P<quote>{'|'.join(QUOTES)})"
# In this order: the later patterns would take a separator or a quote currency for part of the coin.
_SPELLINGS = tuple(
    re.compile(rf"(?P<coin>{coin}){rest}", re.IGNORECASE)
    for coin, rest in (
        (r"[^/:]+", rf"/{_QUOTE}(?::(?P=quote))?"),  # BTC/USDT, BTC/USDT:USDT
        (r"[^/:]+", rf"[-_]{_QUOTE}[-_](?P=quote)"),  # BTC_USDT_USDT (files of freqtrade)
        (r"[^/:]+", rf"[-_]{_QUOTE}"),  # BTC-USDT, BTC_USDT
        (r"[^/:]+?", rf"{_QUOTE}M?"),  # BTCUSDT; XBTUSDTM (kucoin)
        (r"[^/:_.-]+", ""),  # BTC
    )
)
_MARKET = re.compile(r"(?:[-_](?:SWAP|PERP|PERPETUAL)|\.P)$", re.IGNORECASE)  # BTC-USDT-SWAP, BTCUSDT.P


@dataclass(frozen=True)
class Contract:
    """A linear perpetual as a name says it: one coin is ``1 / multiplier`` of a listed unit."""

    coin: str  # PEPE
    multiplier: int  # 1000
    listed: str  # 1000PEPE/USDT:USDT, as ccxt writes it
    quote: str


def symbol_of(coin: str) -> str:
    """``PEPE`` to ``PEPEUSDT``."""
    return f"{coin}{QUOTE}"


def coin_of(symbol: str) -> str:
    """The coin of a symbol as people and exchanges write it.

    ``BTC``, ``btcusdt``, ``BTC/USDT``, ``BTC/USDT:USDT``, ``BTC-USDT``, ``BTC_USDT``, ``BTC-USDT-SWAP``, each with
    USDC too, and scaled names such as ``1000PEPEUSDT``. Raises ``UserError`` for anything else: dated contracts, other
    quote currencies, names that break the rule for names.
    """
    return _read(symbol)[0]


def contract_of(name: str, exchange: str, quote: str = QUOTE) -> Contract:
    """The contract that a name of an exchange means, in the spellings of ``coin_of``; ``quote`` where it says none.

    Raises ``UserError`` like ``coin_of``.
    """
    coin, written, stated = _read(name)
    multiplier = split_name(written)[1]
    if in_capitals(written) in KILO_IN_CAPITALS.get(exchange, ()):
        coin, multiplier = in_capitals(written)[1:], 1000
    base = OTHER_NAMES.get(in_capitals(written), in_capitals(written))
    settled = (stated or quote).upper()
    return Contract(coin, multiplier, f"{base}/{settled}:{settled}", settled)


def contract_in(text: str) -> str | None:
    """Of a file name the part that names a contract with its quote currency; None where no part does."""
    parts = re.split(r"([-_. ]+)", text)
    ranges = [(i, j) for i in range(0, len(parts), 2) for j in range(i + 1, len(parts) + 1, 2)]
    for i, j in sorted(ranges, key=lambda span: span[0] - span[1]):
        name = "".join(parts[i:j])
        with suppress(UserError):
            coin, written, quote = _read(name)
            # A coin with a mark in it is rather a word of the file's name and a coin.
            if quote is not None and not any(mark in written or mark in coin for mark in MARKS):
                return name
    return None


def _read(symbol: str) -> tuple[str, str, str | None]:
    """(coin, base as it is written, quote where it stands there) of a symbol."""
    text = unicodedata.normalize("NFC", symbol).strip()
    spelled = _MARKET.sub("", text)
    found = next((match for pattern in _SPELLINGS if (match := pattern.fullmatch(spelled))), None)
    written, quote = (found["coin"], found.groupdict().get("quote")) if found else ("", None)
    # Margined in the coin itself; it would pass as a linear contract on a coin called BTCUSD.
    is_inverse = spelled != text and quote is None and written.upper().endswith("USD")  # BTCUSD_PERP
    coin = split_name(written)[0]
    # A coin that is a scaled name once more (1000 times 1000) could not be read back as itself.
    if is_inverse or not written or _is_no_coin(written, quote) or split_name(coin)[0] != coin:
        raise UserError(f"symbol {shown(symbol)} is not of the form BTCUSDT, BTC or BTC/USDT:USDT")
    return checked_name(OTHER_NAMES.get(coin, coin), "coin"), written, quote


def symbol_among(name: str, symbols: Collection[str]) -> str:
    """Of the symbols the one that a name means, in whatever spelling; the name itself when it means none of them."""
    # The exact name first: symbols of older files need not be in the form that a reading would give.
    if name not in symbols:
        with suppress(UserError):
            usual = symbol_of(coin_of(name))
            return usual if usual in symbols else name
    return name


def split_name(name: str) -> tuple[str, int]:
    """(coin, multiplier) of a base name as the exchange writes it."""
    upper = in_capitals(name)
    if upper in NOT_SCALED:
        return upper, 1
    if found := KILO.fullmatch(name):
        return found[1], 1000
    if found := THOUSANDS_BEFORE.fullmatch(upper):
        return found[2], int(found[1])
    if found := THOUSANDS_AFTER.fullmatch(upper):
        return found[1], int(found[2])
    if found := MILLION.fullmatch(upper):
        return found[1], 1_000_000
    return upper, 1


def in_capitals(name: str) -> str:
    """The name in capitals, unless that would make it the name of something else (``ß`` is not ``SS``)."""
    usual = unicodedata.normalize("NFC", name)
    upper = unicodedata.normalize("NFC", usual.upper())
    return upper if len(upper) == len(usual) else usual


@lru_cache(maxsize=20_000)  # the same names come every hour
def is_a_coin(name: str) -> bool:
    """Whether a coin of this name can be written as a symbol and read back as itself."""
    try:
        return coin_of(symbol_of(name)) == name
    except UserError:
        return False


def _is_no_coin(written: str, quote: str | None) -> bool:
    """Whether what stands before the quote currency is none: one alone, the same twice, or a symbol once more."""
    coin = written.upper()
    if coin in QUOTES:
        return quote is None or coin == quote.upper()
    return coin.endswith(QUOTES)
