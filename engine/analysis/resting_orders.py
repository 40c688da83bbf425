"""What became of orders that rested, counted from the notes of a run (``execution: maker_then_hedge``)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.accounting.books import NoteKind, Reason


@dataclass(frozen=True)
class RestingOrders:
    """How many entries and exits rested for an hour, and how many of them were filled wholly and in part."""

    orders: int
    wholly: int
    partly: int

    @property
    def words(self) -> str:
        """For people."""
        share = f" ({100 * self.wholly / self.orders:.0f} %)" if self.orders else ""
        return f"{self.wholly} of {self.orders} orders that rested were filled{share}, {self.partly} in part"


def resting_orders(reasons: Iterable[str]) -> RestingOrders:
    """From the reasons (names in lower case) of the notes of kind RESTED."""
    found = list(reasons)
    wholly, partly = (found.count(one.name.lower()) for one in (Reason.WHOLLY_FILLED, Reason.PARTLY_FILLED))
    return RestingOrders(len(found), wholly, partly)


def noted_resting_orders(notes: np.ndarray[Any, Any]) -> RestingOrders:
    """From the notes of a run's records (``Records.notes``), of every kind."""
    return resting_orders(Reason(note["reason"]).name.lower() for note in notes[notes["kind"] == NoteKind.RESTED])
