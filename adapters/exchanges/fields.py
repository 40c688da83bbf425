"""Reading one quote out of the bulk answers of an exchange (pure: mappings in, numbers out)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Tables = Mapping[str, Mapping[str, Any]]
"""Bulk answers by name, each a mapping from ccxt symbol to ccxt's structure."""

MILLISECONDS_PER_HOUR = 3_600_000


def look_up(tables: Tables, paths: Sequence[str], listed: str) -> Any:
    """The first value along the paths that is there (see ``quirks``), else None."""
    for path in paths:
        table, *keys = path.split(".")
        value: Any = tables.get(table, {}).get(listed)
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        # okx writes "" where it has no number.
        if value is not None and value != "":
            return value
    return None


def number(value: Any) -> float | None:
    """A finite number, else None. A truth value is none."""
    try:
        parsed = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return parsed if math.isfinite(parsed) else None


def positive(value: Any) -> float | None:
    """A number above zero, else None: a price or a time of 0 is how exchanges write "not known"."""
    parsed = number(value)
    return parsed if parsed is not None and parsed > 0 else None


def milliseconds(value: Any) -> int | None:
    """A time stamp in milliseconds, else None."""
    parsed = positive(value)
    return None if parsed is None else int(parsed)


def interval_hours(value: Any) -> float | None:
    """A funding interval in hours. ccxt writes ``8h``, and raw milliseconds for values it does not know (2 h, 6 h)."""
    hours = positive(str(value).strip().lower().removesuffix("h"))
    if hours is None:
        return None
    return hours / MILLISECONDS_PER_HOUR if hours >= MILLISECONDS_PER_HOUR else hours


def oldest_time(tables: Tables, paths: Sequence[str], listed: str) -> int | None:
    """The oldest of the stamps that are there: a quote is as fresh as its stalest part."""
    stamps = [milliseconds(look_up(tables, [path], listed)) for path in paths]
    known = [stamp for stamp in stamps if stamp is not None]
    return min(known) if known else None


def is_level(level: Any) -> bool:
    """Whether a row of an order book has a price and a size. Books are long, so nothing more is asked than that."""
    try:
        return bool(0 < level[0] < math.inf and 0 < level[1] < math.inf)
    except (TypeError, LookupError):
        return False


def depth_within(
    bids: Sequence[Sequence[float]], asks: Sequence[Sequence[float]], *, bps: float, unit: float
) -> float | None:
    """USD of the thinner side within ``bps`` of the mid; ``unit`` is listed units per unit of size. None: no book."""
    if not bids or not asks:
        return None
    mid = (bids[0][0] + asks[0][0]) / 2
    reach = mid * bps / 1e4
    bid_usd = sum(price * size for price, size, *_ in bids if price >= mid - reach)
    ask_usd = sum(price * size for price, size, *_ in asks if price <= mid + reach)
    return min(bid_usd, ask_usd) * unit
