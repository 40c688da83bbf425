"""The door between strategies and the engine: orders come through, anything else becomes one line that names it.

A strategy is somebody else's code. What it answers is checked here once, for backtest, paper trading, audit, search and
stress test alike; an error inside it is told with strategy, hour and the line it happened in.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from engine.accounting.books import MAX_ORDERS
from engine.errors import ArbError, StrategyError, in_words, shown
from engine.observation.clock import clock_of
from engine.observation.view import Enter, Exit, Order, Strategy, View, order_tuple

OURS = frozenset({"adapters", "engine", "rl_training", "strategies"})
"""Packages whose errors are defects of ours: they stay what they are, so that a person sees the traceback."""
LARGEST = 2**62
"""Far beyond any pair or slot, and within what the kernel's numbers hold."""


def answer(strategy: Strategy, view: View) -> list[tuple[int, int]]:
    """What a strategy decides at an hour, as (kind, target). Raises like ``ask``."""
    return [order_tuple(order) for order in ask(strategy, view)]


def ask(strategy: Strategy, view: View) -> list[Order]:
    """The checked orders of a strategy at an hour; none, unasked, between the hours of its ``decision_clock``.

    A pair or a slot that does not exist is a whole number all the same: the kernel refuses and records it. Raises
    ``StrategyError`` when the strategy fails, ends the program, or answers with anything else than a list of orders.
    """
    if not clock_of(strategy).decides_at(view.hour):
        return []
    try:
        answered = strategy.decide(view)
        orders = list(answered) if is_list(answered) else None
    except ArbError:
        raise
    except (Exception, SystemExit, GeneratorExit) as error:
        # SystemExit is caught too: a plug-in that calls ``exit()`` would end paper trading without a word.
        if is_ours(type(strategy)):
            raise
        raise _failed(strategy, view, what_happened(error, type(strategy))) from error
    if orders is None:
        raise _failed(strategy, view, f"it answered {shown(answered)}, not a list of orders; [] is none")
    if len(orders) > MAX_ORDERS:
        raise _failed(strategy, view, f"a strategy may send at most {MAX_ORDERS} orders an hour, not {len(orders)}")
    return [_checked(order, number, strategy, view) for number, order in enumerate(orders, start=1)]


def is_list(answered: Any) -> bool:
    """Whether something is a list, a tuple or the like, and not a text, an array or something that is used up."""
    return isinstance(answered, Sequence) and not isinstance(answered, str | bytes | bytearray | memoryview | range)


def is_ours(kind: type) -> bool:
    """Whether a class belongs to arb itself and is no plug-in."""
    return kind.__module__.partition(".")[0] in OURS


def what_happened(error: BaseException, kind: type) -> str:
    """An error inside a plug-in's class in one line, with the last line of the class's own file on its way."""
    place = _place(error.__traceback__, getattr(sys.modules.get(kind.__module__), "__file__", None))
    return f"{in_words(error)}{place}"


def _checked(order: Any, number: int, strategy: Strategy, view: View) -> Order:
    if not isinstance(order, Enter | Exit):
        raise _failed(strategy, view, f"order {number} is {shown(order)}; use Enter(pair) and Exit(slot)")
    name, target = ("pair", order.pair) if isinstance(order, Enter) else ("slot", order.slot)
    # To Python True is the number 1: ``Enter(mask[k])`` would trade pair 1.
    if isinstance(target, bool) or not isinstance(target, int | np.integer) or abs(int(target)) > LARGEST:
        raise _failed(strategy, view, f"order {number} names {name} {shown(target)}; a {name} is a whole number")
    return Enter(int(target)) if isinstance(order, Enter) else Exit(int(target))


def _failed(strategy: Strategy, view: View, problem: str) -> StrategyError:
    kind = type(strategy)
    return StrategyError(
        problem, strategy=f"{kind.__module__}:{kind.__qualname__}", hour=f"{view.time:%Y-%m-%dT%H:%MZ}"
    )


def _place(trace: TracebackType | None, file: str | None) -> str:
    lines = [line for name, line in _frames(trace) if name == file]
    return f" ({file.rpartition('/')[2]}:{lines[-1]})" if file and lines else ""


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, int]]:
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
