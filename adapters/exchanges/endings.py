"""Announced ends of contracts, as exchanges state them in their lists of contracts (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.exchanges.fields import milliseconds
from adapters.exchanges.quirks import Quirks
from adapters.storage.stamps import HOUR_MS

FARTHEST_MS = 5 * 366 * 24 * HOUR_MS
"""No end is announced so early: a date beyond is how exchanges write "never" (binance: the year 2100)."""
CONTRADICTED_AFTER_MS = 24 * HOUR_MS
"""A contract that is still listed a day after its stated end goes on; the date is a remnant."""
SECONDS_BELOW = 100_000_000_000
"""A time below this is in seconds (in milliseconds it would be 1973)."""


def stated_end(info: Mapping[str, Any], quirks: Quirks) -> int | None:
    """The earliest end that the list of contracts states, in ms; None where it states none."""
    # 0 and -1 are how exchanges write that no end is planned; neither is a time here.
    stamps = [milliseconds(info.get(key)) for key in quirks.ends]
    known = [stamp * 1000 if stamp < SECONDS_BELOW else stamp for stamp in stamps if stamp is not None]
    return min(known) if known else None


def is_ending(info: Mapping[str, Any], quirks: Quirks) -> bool:
    """Whether the exchange says that the contract is being taken off, with or without a date."""
    return any(info.get(key) in values for key, values in quirks.ending.items())


def announced_end(ends_ms: int | None, ending: bool, now_ms: int) -> int | None:
    """When a contract ends (ms), as far as its exchange's word can be believed at ``now_ms``; None: it goes on.

    A contract that is being taken off ends now, whatever date stands beside it.
    """
    if ending:
        return now_ms
    if ends_ms is None or ends_ms > now_ms + FARTHEST_MS or ends_ms < now_ms - CONTRADICTED_AFTER_MS:
        return None
    return ends_ms
