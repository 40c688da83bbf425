"""One paging loop that is right on every exchange, whatever its limits and its order.

Exchanges cut an answer that is too long, some at its newer end and some at its older one, and none says so. So no
limit is trusted: the span before the first row and the span after the last row are asked for again until nothing new
comes. Rows are tuples whose first entry is the time in milliseconds; spans are half-open, ``[since, until)``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from adapters.storage.stamps import HOUR_MS

Row = tuple[float, ...]
Ask = Callable[[int, int], AsyncIterator[list[Row]]]
"""Asks for a span and yields the pages that answer it, in any order, rows outside the span included."""


@dataclass
class Rows:
    """Rows by time, so that what is sent twice is kept once."""

    by_time: dict[int, Row] = field(default_factory=dict)

    def add(self, rows: Iterable[Row], since: int, until: int) -> set[int]:
        """Keep the rows in ``[since, until)``; answers the times of all of these, known before or not."""
        times = set()
        for row in rows:
            time = int(row[0])
            if since <= time < until:
                self.by_time[time] = row
                times.add(time)
        return times

    def times(self) -> list[int]:
        """All times, ascending."""
        return sorted(self.by_time)

    def sorted(self) -> list[Row]:
        """All rows, ascending in time."""
        return [self.by_time[time] for time in self.times()]


async def page_through(
    ask: Ask, rows: Rows, since: int, until: int, *, chunk: int, on_page: Callable[[], None] = lambda: None
) -> None:
    """Add every row of ``[since, until)`` that the exchange has to ``rows``.

    ``chunk`` is the longest span of one request, ``on_page`` is called after every page that brought something.
    Rows are never closer together than an hour. An empty answer is believed only when it comes twice in a row.
    """
    cursor = since
    # A rest below an hour holds no further row, unless the whole span is as short as that.
    while until - cursor >= HOUR_MS or cursor == since < until:
        end = min(cursor + chunk, until)
        times = await _fill_backwards(ask, rows, cursor, end, on_page)
        # On from the last row and not from the end of the chunk: the newer end of the answer may have been cut off.
        cursor = max(times) + 1 if times else end


async def has_any(ask: Ask, since: int, until: int) -> bool:
    """Whether the exchange has a row in ``[since, until)``; of a span too long for a page it gives those at one end."""
    return bool(await _ask(ask, Rows(), since, until, lambda: None))


async def _fill_backwards(ask: Ask, rows: Rows, since: int, until: int, on_page: Callable[[], None]) -> set[int]:
    """Ask for a span; while rows may have been cut off at its older end, ask for what is left of that end."""
    times = await _ask(ask, rows, since, until, on_page)
    older = times
    while older and _may_lack_older(rows, since, min(older)):
        older = await _ask(ask, rows, since, min(older), on_page)
        times |= older
    return times


async def _ask(ask: Ask, rows: Rows, since: int, until: int, on_page: Callable[[], None]) -> set[int]:
    times: set[int] = set()
    # ccxt makes an empty list of many kinds of nonsense, so one empty answer proves nothing.
    for _ in range(2):
        async for page in ask(since, until):
            if new := rows.add(page, since, until):
                times |= new
                on_page()
        if times:
            break
    return times


def _may_lack_older(rows: Rows, since: int, first: int) -> bool:
    """Whether a row may be missing in ``[since, first)``: the hole is longer than the distance of rows beside it."""
    times = rows.times()
    at = times.index(first)
    after = times[at + 1] - first if at + 1 < len(times) else HOUR_MS
    if at == 0 or times[at - 1] + 1 < since:
        return first - since >= HOUR_MS
    before = times[at - 1] - times[at - 2] if at >= 2 else HOUR_MS
    return first - times[at - 1] > min(before, after)


def holes(times: list[int], since: int, until: int, *, step: Callable[[int], int], join: int) -> list[tuple[int, int]]:
    """Spans of ``[since, until)`` in which rows are missing, given the times of the rows that are there (ascending).

    ``step(i)`` is the distance that is right between row ``i`` and the next; holes closer than ``join`` become one.
    """
    inside = [time for time in times if since <= time < until]
    if not inside:
        return [(since, until)] if since < until else []
    start = times.index(inside[0])
    found = [(since, inside[0])] if inside[0] - since >= step(start) else []
    for i, (time, following) in enumerate(pairwise(inside)):
        if following - time > step(start + i):
            found.append((time + 1, following))
    if inside[-1] + step(start + len(inside) - 1) < until:
        found.append((inside[-1] + 1, until))
    return _joined(found, join)


def _joined(spans: list[tuple[int, int]], join: int) -> list[tuple[int, int]]:
    result: list[tuple[int, int]] = []
    for since, until in spans:
        if result and since - result[-1][1] < join:
            result[-1] = (result[-1][0], until)
        else:
            result.append((since, until))
    return result
