"""A backtest: one portfolio, one strategy, the hourly loop."""

from __future__ import annotations

from collections.abc import Callable

from engine.accounting.loop import HourlyLoop, order_records
from engine.accounting.records import Records, join
from engine.observation.answers import answer
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import Strategy, View


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
