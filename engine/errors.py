"""The one tree of errors. A user sees the message as a single line; a traceback means a defect of ours."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any

LONGEST_VALUE = 80
"""Characters of somebody else's value that a message shows."""
LONGEST_REASON = 200
"""Characters of somebody else's words that a message passes on."""


class ArbError(Exception):
    """Base of every error that arb raises on purpose."""


class UserError(ArbError):
    """The request cannot be met as asked; the message says what to do. The command line exits with 2."""


class SettingsError(UserError):
    """A setting is unknown, of the wrong type or out of range; the message names it and its value."""


class DataError(UserError):
    """Input data is missing or wrong; the message names file, coin and hour as far as they are known."""

    def __init__(
        self, problem: str, *, file: str | None = None, coin: str | None = None, hour: str | None = None
    ) -> None:
        self.problem, self.file, self.coin, self.hour = problem, file, coin, hour
        place = ", ".join(part for part in (file, coin, hour) if part)
        super().__init__(f"{place}: {problem}" if place else problem)


class BundleError(UserError):
    """A deployed policy cannot be used: truncated, of another observation spec, or of another cost table."""


class NotFiniteError(BundleError, FloatingPointError):
    """A policy has no answer: it was shown, or its sums became, a number that is not finite or beyond any market."""


class StrategyError(UserError):
    """A strategy failed, or answered with something that is no order; the message names it and the hour."""

    def __init__(self, problem: str, *, strategy: str = "", hour: str = "") -> None:
        self.problem, self.strategy, self.hour = problem, strategy, hour
        super().__init__(f"strategy {strategy} at {hour}: {problem}" if strategy else problem)


class WorkerError(ArbError):
    """Work in another process failed. ``trace``: where, when that is a defect of ours; empty when it was told."""

    def __init__(self, problem: str, trace: str = "") -> None:
        self.trace = trace
        super().__init__(problem)


class CapacityError(ArbError):
    """A fixed buffer of the kernel was too small: a defect of the caller that sized it, never dropped silently."""


def shown(value: Any) -> str:
    """A value of somebody else's for a message: as Python writes it, in one line, cut when it is long."""
    try:
        return cut(_short.repr(value), LONGEST_VALUE)
    except Exception:  # a value that cannot even be shown, such as a number of more digits than Python writes
        return f"something of type {type(value).__name__}"


def did_you_mean(name: Any, known: Iterable[str]) -> str:
    """The question after the known name that is nearest to an unknown one; empty where nothing is known."""
    near = difflib.get_close_matches(str(name)[:LONGEST_VALUE], list(known), n=1, cutoff=0.0)
    return f"did you mean {near[0]!r}?" if near else ""


def in_words(error: BaseException) -> str:
    """Kind and message of somebody else's error, in one line, cut when it is long; of a strategy's its own problem."""
    if isinstance(error, StrategyError):
        return error.problem
    try:
        text = cut(str(error), LONGEST_REASON)
    except Exception:  # its __str__ fails too
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def cut(text: str, most: int) -> str:
    """A text in one line of at most so many characters; where something is left out stand three dots."""
    # Only its beginning is split: somebody's value may be megabytes long.
    line = " ".join(text[: 20 * most].split()) if len(text) > 20 * most else " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."


_short = reprlib.Repr()
_short.maxstring = _short.maxother = LONGEST_VALUE
