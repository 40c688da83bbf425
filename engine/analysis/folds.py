"""Folds of a walk-forward: train, validate and test windows that move through the data together.

Test windows follow each other without gap or overlap. Within a fold, an embargo of hours that belong to no window lies
between training and validation and between validation and test. A last test window that would not be whole is left
out, so that all folds are alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from engine.errors import UserError
from engine.settings import Settings
from engine.windows import Window

Days = Annotated[int, Field(ge=1)]


class FoldLengths(Settings):
    """How long the windows of a fold are; ``anchored``: every training window begins where the first one does."""

    train_days: Days
    validate_days: Days
    test_days: Days
    embargo_hours: Annotated[int, Field(ge=0)]
    anchored: bool = False

    @property
    def hours(self) -> int:
        """Hours of the first fold, both embargoes included."""
        return 24 * (self.train_days + self.validate_days + self.test_days) + 2 * self.embargo_hours


@dataclass(frozen=True)
class Fold:
    """One choice and its test, in hour numbers; ``number`` counts from 1."""

    number: int
    train: Window
    validation: Window
    test: Window


def folds_of(hours: Window, lengths: FoldLengths) -> list[Fold]:
    """All folds that fit into ``hours``, the first of them at its start.

    Raises ``UserError`` when not even one fits, with lengths that would.
    """
    count = (hours.hours - lengths.hours) // (24 * lengths.test_days) + 1
    if count < 1:
        raise UserError(_too_short(hours, lengths))
    return [_fold(hours.first, lengths, k) for k in range(count)]


def _fold(start: int, lengths: FoldLengths, k: int) -> Fold:
    moved = 24 * lengths.test_days * k
    train = Window(start if lengths.anchored else start + moved, start + moved + 24 * lengths.train_days - 1)
    validation = _after(train, lengths.embargo_hours, lengths.validate_days)
    return Fold(k + 1, train, validation, _after(validation, lengths.embargo_hours, lengths.test_days))


def _after(before: Window, embargo_hours: int, days: int) -> Window:
    first = before.last + 1 + embargo_hours
    return Window(first, first + 24 * days - 1)


def _too_short(hours: Window, lengths: FoldLengths) -> str:
    asked = (lengths.train_days, lengths.validate_days, lengths.test_days)
    words = " + ".join(str(days) for days in asked)
    problem = (
        f"{hours} has {hours.hours} h; one fold of {words} days with {lengths.embargo_hours} h of embargo "
        f"twice needs {lengths.hours} h"
    )
    usable = (hours.hours - 2 * lengths.embargo_hours) // 24
    if usable < len(asked):
        return f"{problem}; take a longer stretch of data or a shorter --embargo-hours"
    train, validate, test = shrunk(asked, usable)
    return f"{problem}; --train-days {train} --validate-days {validate} --test-days {test} would fit"


def shrunk(days: tuple[int, int, int], most: int) -> tuple[int, int, int]:
    """About the same proportions with at most ``most`` (at least 3) days in all, none below one day."""
    validate, test = (max(1, one * most // sum(days)) for one in days[1:])
    # Each is at least one day, so the two may take more than their part: training keeps a day too.
    while validate + test > most - 1:
        validate, test = max(1, validate - 1), max(1, test - 1)
    return min(days[0], most - validate - test), validate, test
