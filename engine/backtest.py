"""A backtest: one portfolio, one strategy, the hourly loop."""

from __future__ import annotations

from collections.abc import Callable

from engine.books import MAX_ORDERS
from engine.errors import UserError
from engine.loop import HourlyLoop, order_records
from engine.opportunities import OpportunityBuilder
from engine.records import Records, join
from engine.view import Strategy, View, order_tuple


def answer(strategy: Strategy, view: View) -> list[tuple[int, int]]:
    """What a strategy decides at an hour, as (kind, target). Raises ``UserError`` for too many orders."""
    orders = strategy.decide(view)
    if len(orders) > MAX_ORDERS:
        raise UserError(f"a strategy may send at most {MAX_ORDERS} orders an hour; this one sent {len(orders)}")
    return [order_tuple(order) for order in orders]


def run_backtest(
    builder: OpportunityBuilder,
    strategy: Strategy,
    first: int,
    last: int,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Records:
    """Replay rows ``first..last`` (inclusive) through a strategy and return the records.

    ``progress`` is called with the number of hours done since the last call.
    """
    loop = HourlyLoop(builder.tape)
    loop.start(first, last)
    parts: list[Records] = []
    while not loop.finished[0]:
        loop.advance(order_records(answer(strategy, View(loop, builder))))
        if loop.must_drain():
            progress(loop.undrained)
            parts.append(loop.drain())
    progress(loop.undrained)
    parts.append(loop.drain())
    return join(parts)
