"""The best that was possible: with the whole future known, which orders earn most under the kernel's costs.

For one position slot of fixed USD size without a stop-loss the answer is exact, takers and orders that rest, in lots or
not. The value of being free at an hour is that of the hour before or of the best position that can be left then; a
position that was opened at o and is left at e earns ``units(o) * (worth(e) - cost(o))``, for each pair a straight line
in ``worth(e)``, so the best o is found on the upper envelope of the lines so far (``hindsight_search``).

Two answers are bounds from above and not exact. Further slots get the best plan that what the slots before them hold
leaves over: feasible, with ``slots * (best of one slot)`` as the bound. Where positions differ in size (lots, parts
of orders that rest) and there is an impact, exits pay that of the smallest size there can be.

Capital is not part of the search: with one slot equity at an entry is never below the start, except for funding that
is booked late; an order that is refused for margin is recorded like any other. With several slots one that lacks margin
as it is posted does not rest, and is taken an hour later where margin is there by then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.accounting.books import open_books
from engine.accounting.tape import Tape
from engine.analysis.hindsight_orders import OUTAGE, Trial, alter, entering, ordered, way_out
from engine.analysis.hindsight_search import Task, search, settled
from engine.analysis.hindsight_values import exit_value, fills, funding_received
from engine.errors import UserError
from engine.market.data import Floats
from engine.worlds import ruled

PLANNED = np.dtype(
    [
        ("slot", "i8"),
        ("pair", "i8"),
        ("opened", "i8"),  # rows of the fills
        ("closed", "i8"),
        ("forced", "i8"),  # 1 when the position leaves without an order: outage, delisting, end of data
        ("opened_as", "i8"),  # rows of which the fills have the spread: those above, or in a persistent plan the next
        ("closed_as", "i8"),
        ("gain", "f8"),  # USD, all costs and funding
    ],
    align=True,
)


@dataclass(frozen=True, eq=False)
class Plan:
    """Trades in the order of their fills, their gain in USD, and a bound that no plan for these slots exceeds.

    ``is_exact``: the bound is what the plan earns.
    """

    trades: NDArray[Any]
    gain_usd: float
    bound_usd: float
    persistent: bool
    is_exact: bool


def is_searchable(tape: Tape) -> bool:
    """Whether the search is right on this tape: it knows no wallets, no failing legs and no order books."""
    is_plain = tape.settings.account == "pooled" and tape.settings.leg_failure_probability == 0
    return is_plain and not len(tape.arrays.levels)


def fixed_size(tape: Tape, notional_usd: float | None = None) -> Tape:
    """The tape for positions of fixed notional per leg without stop-loss. None: what the settings give at the start.

    Raises ``UserError`` where the search would not be right: margin by exchange, legs that fail, order books that are
    walked.
    """
    settings = tape.settings
    if not is_searchable(tape):
        walks = "; this data set has order books: set order_books=ignore" if len(tape.arrays.levels) else ""
        raise UserError(
            "hindsight knows account=pooled without leg failures and order books only; leave these settings out" + walks
        )
    fraction = settings.position_fraction or 1.0 / settings.max_positions
    by_settings = settings.position_size_usd or settings.initial_capital_usd * fraction / 2.0 * settings.leverage
    changes = {"position_size_usd": notional_usd or by_settings, "max_position_loss_pct": None}
    return ruled(tape, settings.model_copy(update=changes))


def has_one_impact(tape: Tape) -> bool:
    """Whether every exit of a ``fixed_size`` tape pays the impact of the same notional, or none."""
    differ = tape.settings.execution == "maker_then_hedge" or len(tape.arrays.instruments) > 0
    return tape.settings.impact_coefficient == 0 or not differ


def _least_notional(tape: Tape) -> float:
    """N of which exits pay the impact: of every position, else the least that one can have."""
    notional, least = float(tape.settings.position_size_usd or np.nan), tape.settings.min_notional_usd
    if has_one_impact(tape):
        return notional
    if tape.settings.execution == "maker_then_hedge":
        # Even where what is left of an entry is taken: a stale leg, a notice or a minimum may forbid it.
        return min(notional, least)
    # Down to whole lots, at least one: never by half or more.
    return max(notional / 2.0, min(notional, least))


def _task(tape: Tape, first: int, last: int, received: Floats, *, persistent: bool, slots: int) -> Task:
    settings, rows, latency = tape.settings, last - first + 1, tape.settings.hours_to_fill
    rests = settings.execution == "maker_then_hedge"
    books = open_books(1, 1, np.inf)  # no margin is ever short
    arrays = tape.arrays
    if rests and persistent:
        arrays = arrays._replace(quotes=arrays.quotes.copy(), bars=arrays.bars.copy())
    trial = Trial(tape.arrays, arrays, books, last, _least_notional(tape), persistent)
    # With several slots a position's slot is known only once it is seen open. The hours that a persistent plan may
    # alter for an exit that rests must not be those of its entry, nor of the next one.
    shortest = latency + (1 if slots > 1 or latency == 0 or (rests and persistent) else 0)
    rest = max(latency, (2 if rests else 1) if persistent else 0)
    blocked = np.zeros((len(tape.pairs), rows), np.bool_)
    taken = np.zeros((tape.market.legs, rows), np.bool_)
    return Task(trial, first, last, latency, shortest, rest, blocked, taken, received)


def _keep_clear(tape: Tape, task: Task, trades: NDArray[Any]) -> None:
    """Later slots may not hold the pairs of these trades, nor their mirrors, nor in a persistent plan share a fill."""
    rests = tape.settings.execution == "maker_then_hedge"
    for trade in trades:
        pair, opened, closed = int(trade["pair"]), int(trade["opened"]) - task.first, int(trade["closed"]) - task.first
        # Latency on both sides: an entry is refused when its pair is held as it is ordered, not as it is filled.
        for held in (pair, int(tape.pairs.mirror[pair])):
            task.blocked[held, max(0, opened - task.latency) : closed + task.latency] = True
        if task.trial.persistent:
            # The tape has one fill for a leg and hour, and a persistent plan replaces it: two trades cannot share it.
            rows = [opened, closed, *((opened - 1, closed - 1) if rests else ())]
            for leg in (tape.pairs.long_leg[pair], tape.pairs.short_leg[pair]):
                task.taken[leg, rows] = True


def _trades(task: Task, slot: int) -> tuple[NDArray[Any], float]:
    """The best trades of one slot, read backwards from the end, and what they earn in the search, USD."""
    best, came = search(task)
    found: list[NDArray[Any]] = []
    t = task.last
    while t > task.first:
        pair, opened = (int(value) for value in came[t - task.first])
        if pair < 0:
            t -= 1
            continue
        trade: NDArray[Any] = np.zeros(1, PLANNED)
        entered, left, gain, forced = settled(task, pair, opened, t)
        is_later = not forced and ordered(left, entered.quantity)[1]
        as_row = t + 1 if is_later else left.source
        trade[0] = (slot, pair, opened, t, forced, entered.source, t if forced else as_row, gain)
        found.append(trade)
        # The value of the entry was built on the slot that was free then.
        t = opened - task.rest
    return np.concatenate(found[::-1]) if found else np.zeros(0, PLANNED), float(best[-1])


def best_plan(tape: Tape, first: int, last: int, *, persistent: bool = False) -> Plan:
    """The best trades in rows ``first..last`` of a ``fixed_size`` tape; nothing after ``last`` is looked at.

    ``persistent``: what an order makes has the worse spread of its hour and the next (of an order that rests: the worse
    of what its own hours make of it and the next ones), and a slot rests for an hour between two positions. Raises
    ``UserError`` for a tape with a stop-loss or without a fixed size.
    """
    settings = tape.settings
    if settings.position_size_usd is None or settings.max_position_loss_pct is not None:
        raise UserError("hindsight needs a fixed position size and no stop-loss (see fixed_size)")
    slots, received = settings.max_positions, funding_received(tape.arrays, first, last)
    task = _task(tape, first, last, received, persistent=persistent, slots=slots)
    parts: list[NDArray[Any]] = []
    best_of_one = 0.0
    for slot in range(slots):
        trades, searched = _trades(task, slot)
        if not len(trades):
            break
        best_of_one = best_of_one if parts else float(trades["gain"].sum()) if has_one_impact(tape) else searched
        parts.append(trades)
        _keep_clear(tape, task, trades)
    alone = _task(tape, first, last, received, persistent=persistent, slots=1)
    if alone.shortest < task.shortest:
        # Whoever knows the future knows the slot as well, and may order the exit an hour sooner.
        best_of_one = float(search(alone)[0][-1])
    trades = np.concatenate(parts) if parts else np.zeros(0, PLANNED)
    _force_out(tape, task.trial, trades)
    order = np.lexsort((trades["slot"], trades["opened"]))
    is_exact = slots == 1 and has_one_impact(tape)
    return Plan(trades[order], float(trades["gain"].sum()), slots * best_of_one, persistent, is_exact)


def _force_out(tape: Tape, trial: Trial, trades: NDArray[Any]) -> None:
    """Let what leaves without an order leave at the fills that the orders of other slots have by then replaced."""
    if not trial.persistent or tape.settings.max_positions == 1:
        return
    altered = _filled_as(tape, trades).arrays
    for trade in trades:
        if trade["forced"]:
            pair, closed = int(trade["pair"]), int(trade["closed"])
            entered, is_outage = entering(trial, pair, int(trade["opened"])), way_out(trial, pair, closed) == OUTAGE
            planned, gets = (
                exit_value(arrays, pair, closed, closed, entered.notional, is_outage)
                for arrays in (tape.arrays, altered)
            )
            trade["gain"] += entered.quantity * (gets - planned)


def with_planned_fills(tape: Tape, plan: Plan) -> Tape:
    """The tape on which a persistent plan is played: its fills have the worse spread. Other plans: the same tape."""
    return _filled_as(tape, plan.trades) if plan.persistent else tape


def _filled_as(tape: Tape, trades: NDArray[Any]) -> Tape:
    rests = tape.settings.execution == "maker_then_hedge"
    altered = tape.arrays._replace(quotes=tape.arrays.quotes.copy(), bars=tape.arrays.bars.copy())
    raw: Any = altered.quotes
    for trade in trades:
        pair = int(trade["pair"])
        for hour, as_row, forced in (
            (int(trade["opened"]), int(trade["opened_as"]), 0),
            (int(trade["closed"]), int(trade["closed_as"]), trade["forced"]),
        ):
            if rests and as_row != hour:
                alter(altered, tape.arrays, pair, hour)
            elif not rests and not forced:
                legs = [tape.pairs.long_leg[pair], tape.pairs.short_leg[pair]]
                raw["fill"][legs, hour] = fills(tape.arrays, pair, hour, as_row)
    return replace(tape, arrays=altered)
