"""Which prices of one hour are believed: by the other exchanges first, by each leg's own past where they disagree.

An hour is a table ``[coins, exchanges]`` with nan for what is not known. Real extremes pass because every exchange of
the coin shows them; a value that stands alone must be one that the leg's own past makes likely.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from adapters.gate.limits import GateSettings
from adapters.gate.values import Flags
from engine.market.data import Floats, Ints

MOST_OF_AN_EXCHANGE = 0.75
"""Share of an exchange's coins that must be off before the exchange is: real outliers are single coins."""
COINS_OF_AN_EXCHANGE = 2
AS_BAD = 0.75
"""Exchanges are equally suspect when one is off by this part of the other: the own past decides, or nothing does."""
CLEARLY_WORSE = 2.0
"""Times as far from its own past as the other: only then is it the one that is wrong."""


@dataclass(frozen=True, eq=False)
class Past:
    """Last believed value of every leg before an hour, nan for none, and how many hours ago it was.

    ``elsewhere`` answers the median of the coin's other exchanges at that very hour, nan where it is not known.
    """

    value: Floats
    hours: Floats
    elsewhere: Callable[[], Floats]


@dataclass(frozen=True, eq=False)
class Judged:
    """What is not believed in an hour, ``[coins, exchanges]``, and why."""

    refused: Flags
    shifted: Flags
    """``[exchanges]`` whose values all stand away from the others."""


def judge(values: Floats, past: Past, limits: GateSettings) -> Judged:
    """Judge the values of one hour ``[coins, exchanges]``; ``past`` has the same shape."""
    shifted = shifted_exchanges(values, past, limits)
    # Shifted exchanges go first, so that they have no say about single coins.
    left = np.where(shifted, np.nan, values)
    several = (~np.isnan(left)).sum(axis=1) > 1
    agree = several & (_spread(left) <= 1 + limits.max_price_disagreement)
    believed = ~np.isnan(left) & agree[:, None]
    for coin in np.flatnonzero(~agree & ~np.isnan(left).all(axis=1)):
        legs = np.flatnonzero(~np.isnan(left[coin]))
        known = _past_of_coin(past, int(coin), legs)
        believed[coin, legs] = _believed(left[coin, legs], known, limits)
    return Judged(~np.isnan(values) & ~believed, shifted)


def why(limits: GateSettings, values: Floats, coin: int, exchange: int, judged: Judged) -> str:
    """In words, why a value was refused."""
    if judged.shifted[exchange]:
        return f"nearly all values of the exchange moved more than {100 * limits.max_exchange_shift:g} % off the others"
    others = np.delete(values[coin], exchange)
    others = others[~np.isnan(others)]
    if not len(others):
        return f"moved by more than {100 * limits.max_lone_move:g} % an hour, which no other exchange confirms"
    where = f"{np.median(others):g} elsewhere"
    return f"more than {100 * limits.max_price_disagreement:g} % apart from the other exchanges ({where})"


def shifted_exchanges(values: Floats, past: Past, limits: GateSettings) -> Flags:
    """``[exchanges]`` of which nearly all values moved away from those of the others, the worst first.

    What was as far away before has not moved: a dollar that is worth less on one exchange is no mistake of an hour.
    Where two moved away from each other the one that left its own past is wrong; when neither or both did, both are.
    """
    shifted = np.zeros(values.shape[1], np.bool_)
    if not _may_be_off(values, limits).any():
        return shifted
    left = values.copy()
    # Logarithms, so that a halving counts like a doubling; the root of time, as prices wander.
    moved = np.abs(np.log(values) - np.log(past.value)) / np.sqrt(past.hours)
    before = np.log(past.value) - np.log(past.elsewhere())
    limit = float(np.log1p(limits.max_exchange_shift))
    while True:
        # The worst go one round at a time: without them the medians move, and who looked off may be right.
        off = np.log(left) - np.log(elsewhere(left))
        size, is_off = _off(np.minimum(np.abs(off), np.abs(off - before)), limit)
        if not is_off.any():
            return shifted
        worst = np.max(size[is_off])
        wrong = is_off & (size >= AS_BAD * worst)
        if wrong.sum() > 1:
            wrong = _one_that_moved(wrong, _median(moved), limit)
        shifted |= wrong
        left[:, wrong] = np.nan


def _may_be_off(values: Floats, limits: GateSettings) -> Flags:
    """``[exchanges]`` nearly all of whose coins have some exchange that far away: without that none of them is off."""
    compared = ~np.isnan(values) & ((~np.isnan(values)).sum(axis=1) > 1)[:, None]
    apart = compared & (_spread(values) > 1 + limits.max_exchange_shift)[:, None]
    count = compared.sum(axis=0)
    return np.asarray((count >= COINS_OF_AN_EXCHANGE) & (apart.sum(axis=0) >= MOST_OF_AN_EXCHANGE * count))


def _spread(values: Floats) -> Floats:
    """Highest by lowest value of each coin, nan where there is none."""
    return np.asarray(np.fmax.reduce(values, axis=1) / np.fmin.reduce(values, axis=1))


def _off(off: Floats, limit: float) -> tuple[Floats, Flags]:
    """Median of each exchange's distances ``[coins, exchanges]``, and whether nearly all of them are beyond a limit."""
    known = ~np.isnan(off)
    count = known.sum(axis=0)
    beyond = (off > limit).sum(axis=0)
    return _median(off), (count >= COINS_OF_AN_EXCHANGE) & (beyond >= MOST_OF_AN_EXCHANGE * count)


def _one_that_moved(wrong: Flags, moved: Floats, limit: float) -> Flags:
    """Of exchanges that contradict each other the one that clearly left its own past; all of them when none did."""
    # An exchange without a past has nothing that speaks for it.
    moves = np.where(wrong, np.nan_to_num(moved, nan=np.inf), np.nan)
    largest, smallest = int(np.nanargmax(moves)), float(np.nanmin(moves))
    if not np.isfinite(smallest) or moves[largest] < max(CLEARLY_WORSE * smallest, limit / 2):
        return wrong
    alone = np.zeros_like(wrong)
    alone[largest] = True
    return alone


def elsewhere(values: Floats) -> Floats:
    """Median of the other exchanges' values of each coin ``[coins, exchanges]``, nan where no other has one."""
    result = np.full(values.shape, np.nan)
    for exchange in range(values.shape[1]):
        others = np.delete(values, exchange, axis=1)
        rows = ~np.isnan(others).all(axis=1)
        if rows.any():
            result[rows, exchange] = np.nanmedian(others[rows], axis=1)
    return result


def _median(values: Floats) -> Floats:
    """Median of each column, nan for one without any value."""
    result = np.full(values.shape[1], np.nan)
    known = ~np.isnan(values).all(axis=0)
    if known.any():
        result[known] = np.nanmedian(values[:, known], axis=0)
    return result


def _past_of_coin(past: Past, coin: int, legs: Ints) -> tuple[Floats, Floats]:
    """Past values and their ages of these legs; a leg without any takes the median of the coin's other ones."""
    value, hours = past.value[coin, legs].copy(), past.hours[coin, legs].copy()
    unknown, known = np.isnan(value), ~np.isnan(past.value[coin])
    if unknown.any() and known.any():
        value[unknown] = np.median(past.value[coin, known])
        # The longest age allows the most: a past that is only borrowed should not refuse by a narrow margin.
        hours[unknown] = np.max(past.hours[coin, known])
    return value, hours


def _believed(values: Floats, past: tuple[Floats, Floats], limits: GateSettings) -> Flags:
    """Which of the values of one coin at one hour are believed."""
    if len(values) > 1:
        near = agreeing(values, limits)
        if near is not None:
            return near
    before, hours = past
    moved = np.abs(np.log(values) - np.log(before)) / np.sqrt(hours)
    likely = np.nan_to_num(moved, nan=np.inf) <= np.log1p(limits.max_lone_move)
    if len(values) == 1:
        return np.asarray(likely | np.isnan(before))
    return _one_side(values, moved, likely, limits)


def agreeing(values: Floats, limits: GateSettings) -> Flags | None:
    """Two or more values of one coin: those near the median, when they are most of them; None when most disagree."""
    limit = limits.max_price_disagreement
    if np.max(values) <= (1 + limit) * np.min(values):
        return np.ones(len(values), np.bool_)
    near = np.abs(values / np.median(values) - 1) <= limit
    # The median of two lies between them and accuses both or none.
    return near if len(values) > 2 and 2 * near.sum() > len(values) else None


def _one_side(values: Floats, moved: Floats, likely: Flags, limits: GateSettings) -> Flags:
    """Of values that disagree those beside the one nearest to its own past; none when another is about as likely."""
    nobody = np.zeros(len(values), np.bool_)
    if not likely.any():
        return nobody
    best = int(np.argmin(np.where(likely, moved, np.inf)))
    apart = np.abs(np.log(values / values[best]))
    limit = float(np.log1p(limits.max_price_disagreement))
    beside, rivals = apart <= limit, likely & (apart > limit)
    # Half the limit at least: twice almost nothing is almost nothing, and would make any rival clearly worse.
    clear = max(CLEARLY_WORSE * moved[best], limit / 2)
    return nobody if rivals.any() and np.min(moved[rivals]) < clear else np.asarray(beside)
