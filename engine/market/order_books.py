"""Order books as they were recorded at whole hours: what an order of a taker walks through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Side = Sequence[tuple[float, float]]
"""(price in USD per coin, quantity in coins) of each level, the best one first."""

ORDER_BOOK_ARRAYS = ("leg", "hour", "offsets", "price", "quantity")
SIDES = ("bid", "ask")
"""In the order in which the sides of a book are stored."""


class SeenBook(NamedTuple):
    """One book: index of the leg, hour number at which it was seen, both sides."""

    leg: int
    hour: int
    bids: Side
    asks: Side


@dataclass(frozen=True, eq=False)
class OrderBooks:
    """Books sorted by (leg, hour), one each. One counts at its own hour only and is never carried to a later one.

    Hours are numbers (``engine.windows.hour_of``) and no rows, so that parts of a market keep their books as they are;
    a book of an hour that the market does not have is not used. Raises ``DataError`` for books that cannot be.
    """

    leg: Ints  # [books] index of the leg
    hour: Ints  # [books] hour number
    offsets: Ints  # [2 * books + 1] where the levels of bids, asks, bids, ... begin; the last one is their number
    price: Floats  # [levels] USD per coin, on each side from the best outwards
    quantity: Floats  # [levels] coins

    def __post_init__(self) -> None:
        legs, hours = np.diff(self.leg), np.diff(self.hour)
        if not np.all((legs > 0) | ((legs == 0) & (hours > 0))):
            raise DataError("order books must be sorted by leg and hour, one book each")
        if len(self.offsets) != 2 * len(self) + 1 or not len(self.price) == len(self.quantity) == self.offsets[-1]:
            raise DataError("the levels of order books are not as many as their offsets say")
        problem = problem_in(self.offsets, self.price, self.quantity)
        if problem is not None:
            leg, hour = self.leg[problem[0]], self.hour[problem[0]]
            raise DataError(f"the order book of leg {leg} at hour {hour}: {problem[1]}")

    def __len__(self) -> int:
        return len(self.leg)

    @classmethod
    def of(cls, seen: Iterable[SeenBook]) -> OrderBooks | None:
        """Books in any order; None when there are none."""
        books = sorted(seen, key=lambda book: book[:2])
        if not books:
            return None
        sides = [np.array(side, np.float64).reshape(-1, 2) for book in books for side in (book.bids, book.asks)]
        levels = np.concatenate(sides)
        return cls(
            leg=np.array([book.leg for book in books], np.int64),
            hour=np.array([book.hour for book in books], np.int64),
            offsets=np.cumsum([0, *map(len, sides)], dtype=np.int64),
            price=np.ascontiguousarray(levels[:, 0]),
            quantity=np.ascontiguousarray(levels[:, 1]),
        )

    @property
    def sides(self) -> Ints:
        """Of each level twice the index of its book, and one more for asks ``[levels]``."""
        return np.repeat(np.arange(len(self.offsets) - 1, dtype=np.int64), np.diff(self.offsets))

    @property
    def mid(self) -> Floats:
        """Of the best bid and ask ``[books]``, USD per coin."""
        best = self.price[self.offsets[:-1]]
        return np.asarray((best[::2] + best[1::2]) / 2.0)

    @property
    def distance(self) -> Floats:
        """Of each level from the mid of its book, a fraction of it ``[levels]``."""
        return np.asarray(np.abs(self.price / self.mid[self.sides // 2] - 1.0))

    def seen(self) -> Iterator[SeenBook]:
        """The books one by one."""
        levels = list(zip(self.price.tolist(), self.quantity.tolist(), strict=True))
        ends = self.offsets.tolist()
        for k, (leg, hour) in enumerate(zip(self.leg.tolist(), self.hour.tolist(), strict=True)):
            begin, middle, end = ends[2 * k : 2 * k + 3]
            yield SeenBook(leg, hour, levels[begin:middle], levels[middle:end])

    def kept(self, keep: NDArray[np.bool_]) -> OrderBooks | None:
        """The books to ``keep`` ``[books]``; None when there are none."""
        if keep.all():
            return self
        if not keep.any():
            return None
        lengths = np.diff(self.offsets).reshape(-1, 2)[keep].reshape(-1)
        levels = keep[self.sides // 2]
        return OrderBooks(
            leg=self.leg[keep],
            hour=self.hour[keep],
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            price=self.price[levels],
            quantity=self.quantity[levels],
        )

    def of_legs(self, keep: NDArray[np.bool_]) -> OrderBooks | None:
        """The books of the legs to ``keep``, numbered as these are then; None when there are none."""
        books = self.kept(keep[self.leg])
        if books is None:
            return None
        numbers: Any = np.cumsum(keep) - 1
        return OrderBooks(numbers[books.leg].astype(np.int64), books.hour, books.offsets, books.price, books.quantity)

    def between(self, first_hour: int, last_hour: int) -> OrderBooks | None:
        """The books of the hours ``first_hour`` to ``last_hour``, both included; None when there are none."""
        return self.kept((self.hour >= first_hour) & (self.hour <= last_hour))


def problem_in(offsets: Ints, price: Floats, quantity: Floats) -> tuple[int, str] | None:
    """(index of the book, what is wrong with it) of the first kind of trouble that books have; see ``OrderBooks``."""
    lengths = np.diff(offsets)
    if (empty := np.flatnonzero(lengths <= 0)).size:
        return int(empty[0]) // 2, f"it has no {SIDES[empty[0] % 2]}s"
    side = np.repeat(np.arange(len(lengths)), lengths)
    for name, values in (("price", price), ("quantity", quantity)):
        if (wrong := np.flatnonzero(~((values > 0) & np.isfinite(values)))).size:
            return int(side[wrong[0]]) // 2, f"a {name} is {values[wrong[0]]:g}, not a positive number"
    # Bids fall and asks rise.
    outwards = np.diff(price) * np.where(side[1:] % 2 == 0, -1.0, 1.0) > 0
    if (wrong := np.flatnonzero((side[1:] == side[:-1]) & ~outwards)).size:
        which = side[wrong[0]]
        return int(which) // 2, f"its {SIDES[which % 2]}s are not sorted from the best outwards, one level a price"
    best = price[offsets[:-1]]
    if (wrong := np.flatnonzero(best[::2] >= best[1::2])).size:
        book = int(wrong[0])
        return book, f"its best bid {best[2 * book]:g} is not below its best ask {best[2 * book + 1]:g}"
    return None
