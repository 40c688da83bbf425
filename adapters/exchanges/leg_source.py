"""One exchange's pages of candles and settled rates, asked for in its own way (``quirks``)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from adapters.datasets.settlement_intervals import intervals_in_force
from adapters.exchanges.calls import Caller
from adapters.exchanges.leg_history import LegHistory
from adapters.exchanges.paging import Ask, Row, Rows, has_any, holes, page_through
from adapters.exchanges.quirks import QUIRKS, Quirks
from adapters.exchanges.rows import RowReader
from adapters.gate.limits import GateSettings
from adapters.storage.stamps import HOUR_MS, TOLERANCE_MS

LONGEST_USUAL_INTERVAL_HOURS = 8
MINUTE_MS = 60_000
JOIN_HOLES_MS = 100 * HOUR_MS
BARS_ARE_FINAL_AFTER_MS = 10_000  # the bar of an hour still changes for moments after its end


@dataclass(frozen=True)
class Wanted:
    """A span of history, times in ms: bars that open in ``[since, until)``, settlements in ``[since, until]``."""

    since: int
    until: int
    bars: bool = True
    settlements: bool = True


@dataclass(frozen=True)
class LegSource:
    """The history of single contracts of one exchange, through an open client."""

    client: Any
    exchange: str
    caller: Caller
    limits: GateSettings

    @property
    def quirks(self) -> Quirks:
        return QUIRKS[self.exchange]

    async def complete(self, leg: LegHistory, wanted: Wanted, on_page: Callable[[], None] = lambda: None) -> None:
        """Fetch every row of the span that the leg does not hold yet. Raises ccxt's error when that fails."""
        now = int(self.client.milliseconds())
        finished = min(wanted.until, _whole_hour_at_or_before(now - BARS_ARE_FINAL_AFTER_MS))
        # Spans are half-open here, and a settlement at ``until`` itself is wanted.
        settled = min(wanted.until, now) + 1
        listed = min(_whole_hour_at_or_before(leg.listing.created_ms or 0), settled)
        since = wanted.since
        if listed > wanted.since:
            if wanted.settlements and self.quirks.funding_history.style == "pages":
                # Page by page from the newest: nothing is asked in vain, whatever time is given as the beginning.
                await self._settlements(leg, wanted.since, settled, on_page)
            since = wanted.since if await self._has_older(leg, wanted, listed) else listed
        jobs = []
        if wanted.bars:
            jobs.append(self._bars(leg, since, finished, on_page))
        if wanted.settlements:
            jobs.append(self._settlements(leg, since, settled, on_page))
        # Not ended by the first failure: bars that come are kept although the rates of the coin fail.
        for outcome in await asyncio.gather(*jobs, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _has_older(self, leg: LegHistory, wanted: Wanted, listed: int) -> bool:
        """Whether there is anything before the time at which the exchange says that it listed the contract.

        That time is often wrong, and a year of empty pages is no way to find out: a settlement anywhere in the span
        before it, or a bar in the page right before it, tells that there is more.
        """
        if any(time < listed for time in (*leg.bars.by_time, *leg.settlements.by_time)):
            return True
        probes = []
        if wanted.bars:
            page = self.quirks.candles.rows * HOUR_MS
            probes.append(
                has_any(self._candle_pages(LegHistory(leg.listing)), max(wanted.since, listed - page), listed)
            )
        if self.quirks.funding_history.style != "pages":
            probes.append(has_any(self._funding_pages(LegHistory(leg.listing)), wanted.since, listed))
        return any(await asyncio.gather(*probes))

    async def _bars(self, leg: LegHistory, since: int, until: int, on_page: Callable[[], None]) -> None:
        ask = self._candle_pages(leg)
        for begin, end in holes(leg.bars.times(), since, until, step=lambda _: HOUR_MS, join=JOIN_HOLES_MS):
            # One bar short of a page, for exchanges that also send the bar at the end of the span.
            chunk = (self.quirks.candles.rows - 1) * HOUR_MS
            await _fill(leg.bars, ask, _next_whole_hour(begin), end, chunk, on_page)

    async def _settlements(self, leg: LegHistory, since: int, until: int, on_page: Callable[[], None]) -> None:
        times = leg.settlements.times()
        hours, _ = intervals_in_force(times)

        def step(i: int) -> int:
            known = hours[min(i + 1, len(hours) - 1)]
            return HOUR_MS if known != known else int(known * HOUR_MS)  # nan: a single row tells no interval

        paging = self.quirks.funding_history
        whole = paging.style != "window"  # these know no window, so they are asked for all of it at once
        for begin, end in holes(times, since, until, step=step, join=JOIN_HOLES_MS):
            chunk = end - begin if whole else paging.rows * LONGEST_USUAL_INTERVAL_HOURS * HOUR_MS
            await _fill(leg.settlements, self._funding_pages(leg), begin, end, chunk, on_page)

    async def minutes(self, leg: LegHistory, since: int, until: int) -> None:
        """Fetch the minute bars that open in ``[since, until)``. Raises ccxt's error when that fails."""
        await _fill(leg.bars, self._candle_pages(leg, "1m", MINUTE_MS), since, until, until - since, lambda: None)

    def _candle_pages(self, leg: LegHistory, timeframe: str = "1h", bar_ms: int = HOUR_MS) -> Ask:
        quirk, listing = self.quirks.candles, leg.listing
        unit = listing.contract_size if quirk.volume_in_contracts else 1.0

        async def ask(since: int, until: int) -> AsyncIterator[list[Row]]:
            # Some count the bar at the end of the window as inside: one row more, or the oldest one drops out.
            limit = min(quirk.rows, -(-(until - since) // bar_ms) + 1)
            params = {"until": until - 1} if quirk.pass_until else {}
            answer = await self.caller(self.client.fetch_ohlcv, listing.listed, timeframe, since, limit, params)
            yield self._reader(leg, bar_ms).bars(answer, unit)

        return ask

    def _funding_pages(self, leg: LegHistory) -> Ask:
        styles = {"window": self._by_window, "before": self._by_cursor, "pages": self._by_page_number}
        return styles[self.quirks.funding_history.style](leg)

    def _by_window(self, leg: LegHistory) -> Ask:
        limit = self.quirks.funding_history.rows if self.quirks.funding_history.pass_limit else None

        async def ask(since: int, until: int) -> AsyncIterator[list[Row]]:
            # A little more on both sides: a stamp may lie just outside of the hour that it is rounded to.
            yield await self._rates(leg, since - TOLERANCE_MS, limit, {"until": until + TOLERANCE_MS})

        return ask

    def _by_cursor(self, leg: LegHistory) -> Ask:
        paging = self.quirks.funding_history

        async def ask(_: int, until: int) -> AsyncIterator[list[Row]]:
            yield await self._rates(leg, None, paging.rows, {paging.cursor_parameter: until + TOLERANCE_MS})

        return ask

    def _by_page_number(self, leg: LegHistory) -> Ask:
        paging = self.quirks.funding_history

        async def ask(since: int, until: int) -> AsyncIterator[list[Row]]:
            # Rows known to be newer fill the pages before; a page that is partly known is asked for again.
            newer = sum(time >= until for time in leg.settlements.by_time)
            page, oldest = 1 + newer // paging.rows, float("inf")
            while True:
                rows = await self._rates(leg, None, paging.rows, {paging.cursor_parameter: page})
                if not rows or min(rows)[0] >= oldest:  # the end, or an exchange that repeats its last page
                    return
                yield rows
                oldest = min(rows)[0]
                if oldest < since:
                    return
                page += 1

        return ask

    async def _rates(self, leg: LegHistory, since: int | None, limit: int | None, params: dict[str, Any]) -> list[Row]:
        fetch = self.client.fetch_funding_rate_history
        answer = await self.caller(fetch, leg.listing.listed, since, limit, params)
        return self._reader(leg).rates(answer)

    def _reader(self, leg: LegHistory, bar_ms: int = HOUR_MS) -> RowReader:
        return RowReader(leg.listing, self.limits, leg.refused, int(self.client.milliseconds()), bar_ms)


async def _fill(rows: Rows, ask: Ask, since: int, until: int, chunk: int, on_page: Callable[[], None]) -> None:
    """Page through a hole. What is known inside of it must not make the loop believe that it has arrived."""
    found = Rows()

    def keep() -> None:
        rows.by_time.update(found.by_time)
        on_page()

    await page_through(ask, found, since, until, chunk=chunk, on_page=keep)


def _whole_hour_at_or_before(time_ms: int) -> int:
    return time_ms // HOUR_MS * HOUR_MS


def _next_whole_hour(time_ms: int) -> int:
    return -(-time_ms // HOUR_MS) * HOUR_MS
