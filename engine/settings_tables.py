"""Tables of costs by exchange and date: published fees, measured spreads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, model_validator

from engine.settings_base import MOST_BPS, NotNegative, Settings


class FeeRow(Settings):
    """Published fee rates of one exchange from a date on, as fractions of notional; a rebate is negative."""

    since: date
    tier: Annotated[str, Field(min_length=1, max_length=40)] | None = None
    """Of accounts that trade or hold more (``vip2``); None is the ordinary account."""
    maker: Annotated[float, Field(gt=-0.01, lt=0.1, allow_inf_nan=False)]
    taker: Annotated[float, Field(gt=-0.01, lt=0.1, allow_inf_nan=False)]
    source: str = ""


SpreadModel = Literal["fixed", "volume"]
ELSEWHERE = "elsewhere"
"""In the table of spreads what holds for exchanges that have no rows of their own."""


class SpreadBin(Settings):
    """Half of the bid-ask spread, in basis points of price, of a leg that trades at least so much in 24 hours."""

    from_usd: NotNegative
    bps: Annotated[float, Field(ge=0, le=MOST_BPS, allow_inf_nan=False)]


class SpreadRow(Settings):
    """Half-spreads of one exchange by 24 h volume as they were measured at a date, thinnest bin first."""

    since: date
    half_spread: Annotated[tuple[SpreadBin, ...], Field(min_length=1)]
    source: str = ""

    @model_validator(mode="after")
    def _thinner_is_never_narrower(self) -> Self:
        volumes, widths = [one.from_usd for one in self.half_spread], [one.bps for one in self.half_spread]
        if volumes[0] != 0 or any(a >= b for a, b in pairwise(volumes)):
            raise ValueError("from_usd must begin at 0 and rise from bin to bin")
        if any(a < b for a, b in pairwise(widths)):
            raise ValueError("a bin of more volume must not be wider than one of less")
        return self


Dated = TypeVar("Dated", FeeRow, SpreadRow)


def in_force(rows: Sequence[Dated], time: datetime) -> Dated:
    """The latest row dated at or before ``time``, else the earliest row."""
    # People append rows to the table in any order.
    ordered = sorted(rows, key=lambda row: row.since)
    current = ordered[0]
    for row in ordered:
        if row.since <= time.date():
            current = row
    return current


def fee_rate(rows: Sequence[FeeRow], kind: Literal["maker", "taker"], time: datetime) -> float:
    """The rate in force at a time."""
    current = in_force(rows, time)
    return current.taker if kind == "taker" else current.maker
