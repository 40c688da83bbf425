"""Numbers as people read them: signs, thousands, units; a dash where a number is not defined."""

from __future__ import annotations

import math
from datetime import datetime

import pandas as pd

DASH = "\u2013"
MINUS = "\u2212"


def usd(value: float | None, *, signed: bool = True) -> str:
    """Whole dollars from a hundred on, cents below."""
    if value is None:
        return DASH
    # What rounds to 100.00 is shown as 100, not as 100.00 beside whole dollars.
    places = 0 if abs(value) >= 99.995 else 2
    return f"{number(value, places, signed=signed)} USD"


def pct(value: float | None, places: int = 2, *, signed: bool = True) -> str:
    """Per cent."""
    return DASH if value is None else f"{number(value, places, signed=signed)} %"


def number(value: float | None, places: int = 2, *, signed: bool = False) -> str:
    """Fixed places with thousands; what rounds to zero has no sign."""
    if value is None or math.isnan(value):
        return DASH
    text = f"{abs(value):,.{places}f}"
    if float(text.replace(",", "")) == 0:
        return text
    return (MINUS if value < 0 else "+" if signed else "") + text


def interval(bounds: tuple[float, float] | None, places: int = 2, unit: str = "") -> str:
    """Two bounds with their signs and one unit."""
    if bounds is None:
        return DASH
    low, high = (number(bound, places, signed=True) for bound in bounds)
    return f"{low} to {high}{unit}"


def hour(time: datetime | pd.Timestamp | str) -> str:
    """``2025-02-03 00:00`` in UTC."""
    return pd.Timestamp(time).tz_convert("UTC").strftime("%Y-%m-%d %H:%M")


def count(n: int, thing: str) -> str:
    """``1 trade``, ``2,000 trades``."""
    return f"{n:,} {thing}{'' if n == 1 else 's'}"
