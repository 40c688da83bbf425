"""The search for the best chain of trades of one slot, hour by hour over all pairs.

What is known of lines, the entries that can still be left, is an upper envelope for each pair. It says which entry is
best as long as all of them leave for the same price per unit. Where an exit that rests is filled for small positions
and not for large ones, the entries are looked at one by one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.accounting.codes import LONG, SHORT
from engine.analysis.hindsight_orders import (
    FORCED,
    NO_WAY,
    Entered,
    Left,
    Trial,
    entering,
    is_the_same,
    leaving,
    most,
    ordered,
    way_out,
    worth,
)
from engine.analysis.upper_envelope import add_line, highest
from engine.compiled import compiled, hourly, seldom
from engine.market.data import Floats, Ints


class Task(NamedTuple):
    """One search: rows ``first..last``; a trade fills ``latency`` hours after its order.

    ``shortest`` is the least number of hours from fill to fill by an order; ``rest`` how many hours before an entry's
    fill the slot must have been free. ``blocked`` ``[pairs, rows]`` and ``taken`` ``[legs, rows]`` keep clear of other
    slots.
    """

    trial: Trial
    first: int
    last: int
    latency: int
    shortest: int
    rest: int
    blocked: NDArray[np.bool_]
    taken: NDArray[np.bool_]
    received: Floats  # by side, leg and row


@hourly
def _funding(task: Task, pair: int, t: int) -> float:
    k, legs = t - task.first, task.trial.tape.pairs[pair]
    return float(task.received[SHORT, legs.short, k] + task.received[LONG, legs.long, k])


@hourly
def _is_taken(task: Task, pair: int, t: int) -> bool:
    """Whether another slot uses the fills that an order of the pair that falls due at t may get."""
    k, legs = t - task.first, task.trial.tape.pairs[pair]
    if task.taken[legs.long, k] or task.taken[legs.short, k]:
        return True
    # Without a row before it nothing can have rested.
    is_resting = task.trial.tape.rules[0].resting > 0 and k > 0
    return bool(is_resting and (task.taken[legs.long, k - 1] or task.taken[legs.short, k - 1]))


@hourly
def _is_lost(task: Task, pair: int, t: int, way: int) -> bool:
    """Whether a position would be forced out at t by fills that another slot has altered."""
    # Nothing is altered in the last row; what takers hold leaves at the altered fills, and the plan counts it so.
    if way < FORCED or t == task.last or task.trial.tape.rules[0].resting == 0:
        return False
    return bool(_is_taken(task, pair, t))


@seldom
def _enter(task: Task, pair: int, o: int) -> Entered:
    """What an entry that is filled at o opens; nothing where the other slots or the window forbid it."""
    if not task.first + task.latency <= o <= task.last or task.blocked[pair, o - task.first]:
        return Entered(0.0, 0.0, 0.0, o)
    if _is_taken(task, pair, o):
        return Entered(0.0, 0.0, 0.0, o)
    entered: Entered = entering(task.trial, pair, o)
    return entered


@hourly
def _intercept(task: Task, pair: int, o: int, entered: Entered, before: float) -> float:
    """Of the line of an entry at o, as a function of what a unit leaves with; ``before``: earned so far."""
    return float(before - entered.quantity * (entered.cost + _funding(task, pair, o)))


@seldom
def _leave(task: Task, pair: int, t: int, way: int, sizes: tuple[float, float]) -> Left:
    left: Left = leaving(task.trial, pair, t, way, not _is_taken(task, pair, t), sizes)
    return left


@seldom
def settled(task: Task, pair: int, opened: int, closed: int) -> tuple[Entered, Left, float, bool]:
    """A trade by its rows: how it was entered, what it could leave with, its gain in USD, whether it was forced.

    With the impact of its own notional, whatever the search assumed.
    """
    trial = task.trial
    entered = entering(trial, pair, opened)
    own = Trial(trial.tape, trial.altered, trial.books, trial.last, entered.notional, trial.persistent)
    way = way_out(trial, pair, closed)
    by_order = closed - opened >= task.shortest and not _is_taken(task, pair, closed)
    left = leaving(own, pair, closed, way, by_order, (entered.quantity, entered.quantity))
    leaves_with = worth(left, entered.quantity) + _funding(task, pair, closed)
    gain = entered.quantity * leaves_with + _intercept(task, pair, opened, entered, 0.0)
    return entered, left, gain, bool(left.forced >= ordered(left, entered.quantity)[0])


@hourly
def _earned(best: Floats, k: int) -> float:
    return float(best[k]) if k >= 0 else 0.0


@hourly
def _note(best: Floats, came: Ints, k: int, value: float, pair: int, opened: int) -> None:
    """Note a way to be free at row k if it is the best so far."""
    if value > best[k]:
        best[k] = value
        came[k, 0], came[k, 1] = pair, opened


@compiled
def _wider(rows: Any) -> Any:
    """Twice the room in every row."""
    wide = np.empty((rows.shape[0], 2 * rows.shape[1]), rows.dtype)
    wide[:, : rows.shape[1]] = rows
    return wide


@seldom
def _best_of_all(slopes: Floats, intercepts: Floats, count: int, left: Left, funding: float) -> int:
    """Index of the entry that is best where what a unit leaves with depends on the size."""
    best, found = -np.inf, 0
    for j in range(count):
        value = slopes[j] * (worth(left, slopes[j]) + funding) + intercepts[j]
        if value > best:
            best, found = value, j
    return found


@compiled
def search(task: Task) -> tuple[Floats, Ints]:
    """The most that a slot which is free at a row has earned, and how it got free: pair, row of entry; -1: waiting."""
    tape, first = task.trial.tape, task.first
    pairs, rows, keeps_all = tape.pairs.shape[0], task.last - first + 1, tape.rules[0].resting > 0
    best, came = np.zeros(rows), np.full((rows, 2), -1)
    slopes, intercepts = np.empty((pairs, 16)), np.empty((pairs, 16))
    names, counts = np.empty((pairs, 16), np.int64), np.zeros(pairs, np.int64)
    every_slope, every_intercept = np.empty((pairs, 16)), np.empty((pairs, 16))
    every_name, every_count = np.empty((pairs, 16), np.int64), np.zeros(pairs, np.int64)
    since = np.full(pairs, first)  # entries before this row have been forced out
    for k in range(rows):
        t = first + k
        # Waiting costs nothing: what was reached an hour ago is reached now.
        best[k] = _earned(best, k - 1)
        for pair in range(pairs):
            way = way_out(task.trial, pair, t)
            if _is_lost(task, pair, t, way):
                counts[pair], every_count[pair], since[pair] = 0, 0, t + 1
                continue
            if counts[pair] > 0 and (keeps_all or way != NO_WAY):
                low, high = slopes[pair, 0], slopes[pair, counts[pair] - 1]
                left, funding = _leave(task, pair, t, way, (low, high)), _funding(task, pair, t)
                # If even the best price for all of them were not better than what is known, nothing is.
                x = most(left, low, high) + funding
                if x > -np.inf:
                    j = highest(slopes[pair], intercepts[pair], counts[pair], x)
                    value = slopes[pair, j] * x + intercepts[pair, j]
                    if value > best[k] and is_the_same(left, low, high):
                        _note(best, came, k, value, pair, names[pair, j])
                    elif value > best[k]:
                        j = _best_of_all(every_slope[pair], every_intercept[pair], every_count[pair], left, funding)
                        slope = every_slope[pair, j]
                        value = slope * (worth(left, slope) + funding) + every_intercept[pair, j]
                        _note(best, came, k, value, pair, every_name[pair, j])
            if way >= FORCED:
                # Too young to leave by an order; what rested may be forced out in the hour in which it is booked.
                for o in range(max(since[pair], t - task.shortest + 1), t + 1):
                    entered = _enter(task, pair, o)
                    if entered.quantity > 0.0 and not (o == t and task.trial.persistent):
                        line = _intercept(task, pair, o, entered, _earned(best, o - task.rest - first))
                        left = leaving(task.trial, pair, t, way, False, (entered.quantity, entered.quantity))
                        value = entered.quantity * (left.forced + _funding(task, pair, t)) + line
                        _note(best, came, k, value, pair, o)
                counts[pair], every_count[pair], since[pair] = 0, 0, t + 1
        if counts.max() == slopes.shape[1]:
            slopes, intercepts = _wider(slopes), _wider(intercepts)
            names = _wider(names)
        if every_count.max() == every_slope.shape[1]:
            every_slope, every_intercept = _wider(every_slope), _wider(every_intercept)
            every_name = _wider(every_name)
        for pair in range(pairs):
            o = t - task.shortest + 1
            if task.blocked[pair, k]:
                counts[pair], every_count[pair], since[pair] = 0, 0, t + 1
            elif o >= since[pair]:
                entered = _enter(task, pair, o)
                if entered.quantity > 0.0:
                    slope = entered.quantity
                    line = _intercept(task, pair, o, entered, _earned(best, o - task.rest - first))
                    counts[pair] = add_line(slopes[pair], intercepts[pair], names[pair], counts[pair], slope, line, o)
                    if keeps_all:
                        n = every_count[pair]
                        every_slope[pair, n], every_intercept[pair, n], every_name[pair, n] = slope, line, o
                        every_count[pair] = n + 1
    return best, came
