"""Recorded order books as the kernel reads them: what a taker pays for walking one, and how much fits.

Nothing of this is called where no books are known. A book counts at its own hour only: at any other one the spread
and the impact of ``costs`` stand for it.
"""

from __future__ import annotations

import numpy as np

from engine.accounting.tape import TapeArrays
from engine.compiled import hourly, seldom


@hourly
def books_are_known(tape: TapeArrays) -> bool:
    """Whether any book of any leg is known."""
    return bool(tape.levels.shape[0] > 0)


@seldom
def _first_from(tape: TapeArrays, leg: int, key: int) -> int:
    """Index of the first level of a leg whose key is ``key`` or more."""
    low = tape.legs[leg].first_level
    high = low + tape.legs[leg].levels
    while low < high:
        middle = (low + high) // 2
        if tape.levels[middle].key < key:
            low = middle + 1
        else:
            high = middle
    return int(low)


@seldom
def _side(tape: TapeArrays, leg: int, t: int, direction: float) -> tuple[int, int]:
    """Levels that a buy (1.0) or a sale (-1.0) walks at row t, as the first one and the one after the last."""
    key = 2 * t + (1 if direction > 0 else 0)
    return _first_from(tape, leg, key), _first_from(tape, leg, key + 1)


@seldom
def walked(tape: TapeArrays, leg: int, t: int, direction: float, quantity: float) -> float:
    """Mean distance from the mid of the book seen at row t for ``quantity`` coins, a fraction; nan without a book.

    What is beyond the recorded levels costs the last of them and impact.
    """
    start, stop = _side(tape, leg, t, direction)
    if start == stop:
        return np.nan
    left, paid = quantity, 0.0
    for i in range(start, stop):
        part = min(left, tape.levels[i].quantity)
        paid += part * tape.levels[i].distance
        left -= part
    if left > 0.0:
        rules, quote, beyond = tape.rules[0], tape.quotes[leg, t], 0.0
        # Without impact the volume need not be known; nan times zero would make the price nan.
        if rules.impact > 0:
            beyond = rules.impact * np.sqrt(left * quote.price / quote.volume)
        paid += left * (tape.levels[stop - 1].distance + beyond)
    # Never less than half the spread of the book, whatever sums are rounded to.
    return float(max(paid / quantity, tape.levels[start].distance))


@seldom
def fitting(tape: TapeArrays, leg: int, t: int, direction: float, quantity: float) -> float:
    """As much of ``quantity`` coins as walks no farther than ``max_walk``; all of it without a book of row t."""
    limit = tape.rules[0].max_walk
    # With nan, which is no book, the comparison is false.
    if not walked(tape, leg, t, direction, quantity) > limit:
        return quantity
    start, stop = _side(tape, leg, t, direction)
    covered = paid = 0.0
    for i in range(start, stop):
        more, distance = tape.levels[i].quantity, tape.levels[i].distance
        if paid + more * distance > limit * (covered + more):
            # The mean passes the limit within this level.
            return float(min(quantity, covered + (limit * covered - paid) / (distance - limit)))
        covered, paid = covered + more, paid + more * distance
    # It is the part beyond what was recorded that is too dear.
    return float(min(quantity, covered))
