"""Answers of strategies that may be anything: orders come through as they are, anything else trades nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from support_datasets import small_market

from adapters.configuration.settings import load_settings
from engine.accounting.books import MAX_ORDERS
from engine.accounting.records import Records
from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.errors import StrategyError
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import Enter, Exit, View

NAME = "strategy answers"
Rng = np.random.Generator
HOURS, ANSWERED = 12, 5
LARGEST = 2**62


@cache
def builder() -> OpportunityBuilder:
    """A small market that is ready to be played."""
    return OpportunityBuilder(prepare(small_market(HOURS), load_settings(None, ["min_history_hours=2"])))


class Answers:
    """Gives one answer at one hour, and leaves what it holds two hours later."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self._answer, self._row = answer, -1

    def decide(self, view: View) -> Any:
        self._row += 1
        if self._row == ANSWERED + 2:
            return [Exit(position.slot) for position in view.positions]
        return self._answer() if self._row == ANSWERED else []


def case(rng: Rng, folder: Path) -> str:
    """One answer; the orders in it, if it is one, must be all that is traded or refused."""
    del folder  # nothing is written
    answer, orders = _answer(rng)
    try:
        records = run_backtest(builder(), Answers(answer), 0, HOURS - 1)
    except StrategyError as error:
        said = str(error)
        assert orders is None, (orders, said)
        assert said.startswith("strategy "), said
        assert " at 2024-05-01T05:00Z: " in said, said
        assert "\n" not in said, said
        assert len(said) < 400, said
        return "refused"
    assert orders is not None, "something that is no list of orders was believed"
    _is_all(records, orders)
    return "accepted"


def _is_all(records: Records, orders: list[tuple[str, int]]) -> None:
    """Every order was filled or noted, in the hour it was given; nothing else was."""
    entered = [target for kind, target in orders if kind == "enter"]
    traded = records.trades["pair"].tolist()
    noted = [int(note["target"]) for note in records.notes if note["hour"] == ANSWERED]
    assert set(traded) <= set(entered), (traded, orders)
    assert set(records.trades["opened"].tolist()) <= {ANSWERED}
    assert len(traded) + len(noted) == len(orders), (traded, noted, orders)


def _answer(rng: Rng) -> tuple[Callable[[], Any], list[tuple[str, int]] | None]:
    """What is answered, and the orders that are in it; None when it is no list of orders."""
    if rng.random() < 0.2:
        return _no_list(rng), None
    items = [
        _item(rng) for _ in range(int(rng.choice([0, 1, 1, 2, 3, 5, 300], p=[0.1, 0.3, 0.2, 0.2, 0.1, 0.08, 0.02])))
    ]
    values, meanings = [value for value, _ in items], [meaning for _, meaning in items]
    holder = LISTS[int(rng.integers(len(LISTS)))]
    if any(meaning is None for meaning in meanings) or len(items) > MAX_ORDERS:
        return lambda: holder(values), None
    return lambda: holder(values), [meaning for meaning in meanings if meaning is not None]


LISTS: tuple[Callable[[list[Any]], Any], ...] = (list, list, list, tuple, deque)


def _no_list(rng: Rng) -> Callable[[], Any]:
    order = Enter(int(rng.integers(4)))
    choices: tuple[Callable[[], Any], ...] = (
        lambda: None, lambda: order, lambda: iter([order]), lambda: (one for one in [order]), lambda: {order},
        lambda: {0: order}, lambda: np.array([order]), lambda: np.zeros(3), lambda: "enter", lambda: b"", lambda: 0.7,
        lambda: float("nan"), lambda: True, lambda: range(3), lambda: Enter, lambda: [order].__iter__, lambda: 1 / 0,
        lambda: [][1], lambda: {}["x"], lambda: _fail(SystemExit(0)), lambda: _fail(SystemExit("bye\nbye")),
        lambda: _fail(GeneratorExit()), lambda: _fail(RecursionError("x" * 9000)), lambda: _fail(MemoryError()),
        lambda: _fail(StopIteration(3)), lambda: _fail(AssertionError()), lambda: _fail(OSError(28, "full", "x")),
    )  # fmt: skip
    return choices[int(rng.integers(len(choices)))]


def _fail(error: BaseException) -> Any:
    raise error


def _item(rng: Rng) -> tuple[Any, tuple[str, int] | None]:
    """One thing in a list, and the order that it is, if it is one."""
    if rng.random() < 0.25:
        odd: tuple[Any, ...] = (
            None, 0, 1.5, "enter", (1, 0), [Enter(0)], {"pair": 0}, Enter, object(), np.int64(1), True, b"1",
            {Enter(0)},
        )  # fmt: skip
        return odd[int(rng.integers(len(odd)))], None
    kind = Enter if rng.random() < 0.7 else Exit
    target, is_whole = _target(rng)
    return kind(target), ("enter" if kind is Enter else "exit", int(target)) if is_whole else None


def _target(rng: Rng) -> tuple[Any, bool]:
    whole: tuple[Any, ...] = (
        int(rng.integers(4)), int(rng.integers(-5, 200)), np.int8(rng.integers(4)), np.uint64(rng.integers(4)), 10**6,
        -(10**15), LARGEST, -LARGEST, int(rng.integers(4)),
    )  # fmt: skip
    broken: tuple[Any, ...] = (
        0.7, 1.0, float("nan"), float("inf"), np.float32(1), True, False, np.True_, None, "0", b"0", [0], (0,),
        np.array(0), np.array([0, 1]), LARGEST + 1, 2**70, -(2**63) - 1, 10**5000, 1j, object(), Enter(0),
    )  # fmt: skip
    if rng.random() < 0.75:
        return whole[int(rng.integers(len(whole)))], True
    return broken[int(rng.integers(len(broken)))], False
