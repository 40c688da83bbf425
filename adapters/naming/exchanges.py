"""One name for each exchange: its ccxt id, however people and older files write it."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TypeVar

from adapters.naming.names import checked_name, shown
from engine.errors import UserError

Value = TypeVar("Value")

ALIASES: Mapping[str, tuple[str, ...]] = {
    "binanceusdm": ("binance",),
    "bitget": (),
    "bybit": (),
    "gate": ("gateio",),
    "hyperliquid": ("hl",),
    "kucoinfutures": ("kucoin",),
    "mexc": ("mxc", "mexcglobal"),
    "okx": ("okex",),
}
"""By ccxt id the other names of the exchange, in small letters and without separators."""
MARKETS = ("perps", "perp", "perpetuals", "perpetual", "futures", "future", "swaps", "swap", "linear")
MARGINED = ("usdm", "usdsm", "usdtm", "usdt", "um")
"""Words for its linear perpetuals that may follow the name of an exchange: ``binance futures``, ``bybit-linear``."""
_WORDS = re.compile(r"[a-z0-9]+(?:[ ._-]+[a-z0-9]+)*")


def canonical_exchange(name: str) -> str:
    """The ccxt id of an exchange under any of its usual names; another name comes back in small letters."""
    # NFKC: full-width letters look like plain ones and must not make a second exchange of one.
    folded = unicodedata.normalize("NFKC", name).strip().lower()
    # Not mended by dropping marks: the rule for names should see what is wrong with it.
    if not _WORDS.fullmatch(folded):
        return folded
    return _id_of(re.sub(r"[ ._-]", "", folded)) or folded


def checked_exchange(name: str) -> str:
    """``canonical_exchange`` of a name that keeps the rule for names. Raises ``UserError`` for one that does not."""
    return checked_name(canonical_exchange(name), "exchange")


def is_known(exchange: str) -> bool:
    """Whether arb knows an exchange by this ccxt id."""
    return exchange in ALIASES


def nearest_exchange(name: str, known: Iterable[str] = ALIASES) -> str | None:
    """Of the known names the one that is spelled most like this one."""
    near = difflib.get_close_matches(canonical_exchange(name), sorted(known), n=1, cutoff=0.0)
    return near[0] if near else None


def by_canonical_exchange(mapping: Mapping[str, Value], what: str) -> dict[str, Value]:
    """The mapping under the ccxt ids. Raises ``UserError`` when two of its keys are one exchange."""
    found: dict[str, Value] = {}
    written: dict[str, str] = {}
    for name, value in mapping.items():
        exchange = canonical_exchange(str(name))
        if exchange in found:
            raise UserError(f"{what} names {exchange} twice, as {shown(written[exchange])} and as {shown(str(name))}")
        found[exchange], written[exchange] = value, str(name)
    return found


def _id_of(word: str) -> str | None:
    """The exchange behind a spelling without separators; words for its market at the end say nothing more."""
    while word not in _IDS:
        market = next((market for market in MARKETS + MARGINED if word.endswith(market)), None)
        if market is None:
            return None
        word = word.removesuffix(market)
    return _IDS[word]


_IDS = {name: exchange for exchange, others in ALIASES.items() for name in (exchange, *others)}
