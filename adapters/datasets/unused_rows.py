"""Rows of raw tables that a data set has no use for: which they are, and what a person is told of them."""

from __future__ import annotations

import pandas as pd

from adapters.datasets.contracts import LEG
from adapters.gate.frozen import frozen_bars, frozen_note
from engine.errors import DataError
from engine.windows import time_of

LEGS_SHOWN = 10


def without_frozen(
    bars: pd.DataFrame, settlements: pd.DataFrame, *, origin: str
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Bars (see ``read_bars``) less those that stand still without volume for too long, and a line on each such leg.

    A leg of which no bar is left loses its settlements too. Raises ``DataError`` when nothing is left at all.
    """
    if bars.empty:  # told where legs are put together: everything was left out before
        return bars, settlements, []
    frozen = bars.groupby(LEG, sort=False)["is_still"].transform(lambda still: frozen_bars(still.to_numpy()))
    if frozen.all():
        raise DataError("every bar stands still without any volume: there is no market in it", file=origin)
    lines = [
        (frozen_note(str(coin), str(exchange), len(leg), time_of(int(leg["opened_hour"].iloc[0]))), len(leg))
        for (coin, exchange), leg in bars[frozen].groupby(LEG)
    ]
    gone = set(_legs(bars)) - set(_legs(bars[~frozen]))
    kept = settlements[[leg not in gone for leg in _legs(settlements)]]
    return bars[~frozen].reset_index(drop=True), kept.reset_index(drop=True), _shortened(lines, "bars that stand still")


def settlements_outside(bars: pd.DataFrame, settlements: pd.DataFrame) -> list[str]:
    """A line on each leg that has settlements before its first or after its last price."""
    spans = bars.groupby(LEG)["opened_hour"].agg(["min", "max"])
    joined = settlements.join(spans, on=LEG)
    # The close of the last bar is the price of the hour after its open, so a settlement there still counts.
    outside = joined[(joined["row_hour"] < joined["min"]) | (joined["row_hour"] > joined["max"] + 1)]
    lines = [(_outside(str(coin), str(exchange), leg), len(leg)) for (coin, exchange), leg in outside.groupby(LEG)]
    return _shortened(lines, "settlements outside the hours of their prices")


def _shortened(lines: list[tuple[str, int]], what: str) -> list[str]:
    """The lines of the legs with most rows, and one on all others: recordings often begin with days of funding."""
    ordered = sorted(lines, key=lambda line: -line[1])
    shown, rest = [line for line, _ in ordered[:LEGS_SHOWN]], ordered[LEGS_SHOWN:]
    more = f"{len(rest)} more legs have {sum(count for _, count in rest):,} {what}"
    return [*shown, more] if rest else shown


def _outside(coin: str, exchange: str, leg: pd.DataFrame) -> str:
    first, begin, end = (time_of(int(leg[name].iloc[0])) for name in ("row_hour", "min", "max"))
    count = f"{len(leg)} settlement{' lies' if len(leg) == 1 else 's lie'}"
    return (
        f"{coin} on {exchange}: {count} outside the hours of its prices ({begin:%Y-%m-%dT%H:%MZ} to "
        f"{end:%Y-%m-%dT%H:%MZ}), the first at {first:%Y-%m-%dT%H:%MZ}: nobody can be paid there"
    )


def _legs(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(table[LEG[0]], table[LEG[1]], strict=True))
