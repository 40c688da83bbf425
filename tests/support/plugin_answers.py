"""Strategies whose answers are none, for ``--strategy plugin_answers:Name``: made of ``ANSWERS`` by the tests too."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from engine.observation.view import Enter, Exit, View
from engine.settings import Settings
from strategies.plugin import Context, NoParameters


def leave_the_program() -> None:
    sys.exit(0)


def divide() -> float:
    return 1 / int(bool(deque()))


class Rude:
    """Cannot even be shown."""

    def __repr__(self) -> str:
        raise ValueError("no")


class RudeError(Exception):
    """Says nothing, by failing."""

    def __str__(self) -> str:
        raise ValueError("no")


def fail_rudely() -> None:
    raise RudeError


WRONG: dict[str, tuple[Callable[[View], Any], str]] = {
    "nothing": (lambda _: None, "it answered None, not a list of orders; [] is none"),
    "one order": (lambda _: Enter(0), "it answered Enter(pair=0), not a list"),
    "a generator": (lambda _: (order for order in [Enter(0)]), "not a list"),
    "an iterator": (lambda _: iter([Enter(0)]), "not a list"),
    "an array": (lambda _: np.array([Enter(0)]), "not a list"),
    "an array of actions": (lambda _: np.array([1, 0]), "not a list"),
    "a text": (lambda _: "enter 0", "it answered 'enter 0', not a list"),
    "bytes": (lambda _: b"01", "not a list"),
    "a range": (lambda _: range(2), "not a list"),
    "a set": (lambda _: {Enter(0)}, "not a list"),
    "a mapping": (lambda _: {0: Enter(0)}, "not a list"),
    "a number": (lambda _: 3, "it answered 3, not a list"),
    "true": (lambda _: True, "it answered True, not a list"),
    "what cannot be shown": (lambda _: Rude(), "it answered <Rude instance at"),
    "numbers": (lambda _: [Exit(0), 0], "order 2 is 0; use Enter(pair) and Exit(slot)"),
    "pairs of numbers": (lambda _: [(1, 0)], "order 1 is (1, 0)"),
    "nested lists": (lambda _: [[Enter(0)]], "order 1 is [Enter(pair=0)]"),
    "texts": (lambda _: ["enter"], "order 1 is 'enter'"),
    "an order that is none": (lambda _: [Enter(0), None], "order 2 is None"),
    "the class of an order": (lambda _: [Enter], "order 1 is <class 'engine.observation.view.Enter'>"),
    "part of a pair": (lambda _: [Enter(0.7)], "order 1 names pair 0.7; a pair is a whole number"),  # type: ignore[arg-type]  # wrong on purpose
    "a whole number with a fraction": (lambda _: [Enter(1.0)], "names pair 1.0"),  # type: ignore[arg-type]  # wrong on purpose
    "a numpy number with a fraction": (lambda _: [Exit(np.float64(0.2))], "names slot"),  # type: ignore[arg-type]  # wrong on purpose
    "no number": (lambda _: [Enter(float("nan"))], "names pair nan"),  # type: ignore[arg-type]  # wrong on purpose
    "true as a pair": (lambda _: [Enter(True)], "names pair True"),
    "numpy's true as a slot": (lambda _: [Exit(np.True_)], "names slot"),  # type: ignore[arg-type]  # wrong on purpose
    "a name as a pair": (lambda _: [Enter("BTCUSDT")], "names pair 'BTCUSDT'"),  # type: ignore[arg-type]  # wrong on purpose
    "a name of many letters": (lambda _: [Enter("B" * 5000)], "names pair 'BBBBB"),  # type: ignore[arg-type]  # wrong on purpose
    "none as a slot": (lambda _: [Exit(None)], "names slot None"),  # type: ignore[arg-type]  # wrong on purpose
    "an array of one pair": (lambda _: [Enter(np.array([0]))], "names pair array([0])"),  # type: ignore[arg-type]  # wrong on purpose
    "a number beyond all": (lambda _: [Enter(2**80)], "names pair 1208925819614629174706176"),
    "a number of too many digits": (lambda _: [Enter(10**6000)], "names pair something of type int"),
    "more than may be sent": (lambda _: [Exit(0)] * 300, "at most 256 orders an hour, not 300"),
    "an error": (lambda _: divide(), "ZeroDivisionError: division by zero (plugin_answers.py:"),
    "an error that says nothing": (lambda _: fail_rudely(), "RudeError (plugin_answers.py:"),
    "the end of the program": (lambda _: leave_the_program(), "SystemExit: 0 (plugin_answers.py:"),
    "an unknown feature": (
        lambda view: [view.feature("fund_aprr")],
        "unknown feature 'fund_aprr'; did you mean 'fund_apr'?",
    ),
    "a feature by number": (lambda view: [view.feature(3)], "unknown feature 3"),  # type: ignore[arg-type]  # wrong on purpose
    "a feature by list": (lambda view: [view.feature([])], "unknown feature []"),  # type: ignore[arg-type]  # wrong on purpose
}
RIGHT: dict[str, Callable[[View], Any]] = {
    "a list": lambda _: [Enter(0)],
    "a tuple": lambda _: (Enter(0),),
    "a queue": lambda _: deque([Enter(0)]),
    "a numpy number": lambda _: [Enter(np.int64(0))],  # type: ignore[arg-type]  # numpy's whole numbers are taken too
    "a small numpy number": lambda _: [Enter(np.uint8(0))],  # type: ignore[arg-type]  # numpy's whole numbers are taken too
    "beside a slot that there is not": lambda _: [Enter(0), Exit(99), Exit(-1)],
    "beside pairs that there are not": lambda _: [Enter(0), Enter(10**6), Enter(-1), Enter(-(2**62))],
}


class Parameters(Settings):
    """Which of the answers is given."""

    answer: str = "a list"


class Answers:
    """Answers as it is told, from the fifth hour on."""

    Parameters: ClassVar[type[Settings]] = Parameters
    policies: ClassVar[int] = 0

    def __init__(self, parameters: Parameters, context: Context) -> None:  # noqa: ARG002  # draws nothing
        self._answer = WRONG[parameters.answer][0] if parameters.answer in WRONG else RIGHT[parameters.answer]

    def decide(self, view: View) -> Any:
        return self._answer(view) if view.time.hour >= 4 else []


class NeverStarts(Answers):
    """Fails before the first hour."""

    Parameters: ClassVar[type[Settings]] = NoParameters

    def __init__(self, parameters: Settings, context: Context) -> None:  # noqa: ARG002  # draws nothing
        divide()
