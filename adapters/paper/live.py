"""Live hours: the past at the first start, the hours that were missed, and the one that is now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from adapters.exchanges.history import ExchangeHistory
from adapters.exchanges.leg_source import Wanted
from adapters.exchanges.live import LiveMarket
from adapters.exchanges.minutes import Extremes
from adapters.exchanges.settings import ExchangesSettings
from adapters.exchanges.their_clocks import Stamp, another_time, stamps_of
from adapters.naming.symbols import coin_of, symbol_of
from adapters.paper.clock_check import require_our_hour, shown_ms
from adapters.paper.due import due, held_first
from adapters.paper.entries import Event
from adapters.paper.history_facts import complaints_of, past_hours, refusals_of, retries_of, settled_rates
from adapters.paper.history_progress import Progress, ProgressWatcher
from adapters.paper.hour_gate import HourGate
from adapters.paper.journal import Journal
from adapters.paper.live_facts import LegName, LiveHour, live_hour
from adapters.paper.memory import return_free_memory
from adapters.paper.messages import shown
from adapters.paper.notices import news_of_ends
from adapters.paper.resting import Rested, believed_extremes, resting_spans
from adapters.paper.session import Played, Session
from adapters.paper.settings import PaperSettings
from adapters.paper.setup import LIVE, LIVE_GRACE_HOURS, Player, reopened, start_state, universe
from adapters.storage.stamps import HOUR_MS
from engine.errors import ArbError, UserError
from engine.live_window import NOW, HourFacts
from engine.market.schedule import LONGEST_INTERVAL_HOURS
from engine.observation.features import HISTORY_HOURS
from engine.settings import EngineSettings

HISTORY_LIMIT_SECONDS = 900.0
"""For one exchange at the first start or after an outage; what is not there by then stays unknown."""
DEFAULT_TOP = 30
PASSED = "the hour had passed"

Clock = Callable[[], int]
"""Milliseconds since 1970 that count as now."""


@dataclass(frozen=True)
class Done:
    """What a run of the current hour did: ``hours`` in order, empty when it had been done already."""

    hour: int
    hours: tuple[Played, ...]
    left: int = 0
    """Hours that are still to be done, when more were missed than are booked at once."""


def open_live(
    folder: Path, paper: PaperSettings, exchanges: ExchangesSettings, player: Player, live: LiveMarket
) -> Journal:
    """The state of live trading, new or taken up. Raises ``UserError`` when it was started with other facts."""
    names = sorted(exchanges.exchanges)
    if len(names) < 2:
        raise UserError("paper trading needs at least two exchanges: a position has a leg on each of two")
    chosen = None if paper.symbols is None else sorted({symbol_of(coin_of(symbol)) for symbol in paper.symbols})
    # What was asked for, not the coins that it led to: volumes change, and a restart must find the same state.
    wanted: Any = chosen or f"top:{paper.top or DEFAULT_TOP}"
    facts = {"mode": LIVE, "universe": {"symbols": wanted, "exchanges": names}}
    journal = reopened(folder, {**player.identity, **facts})
    if journal is not None:
        return journal
    symbols = chosen or _top(live, paper.top or DEFAULT_TOP)
    market = universe([(symbol, exchange) for symbol in symbols for exchange in names], LIVE_GRACE_HOURS)
    return start_state(folder, market, player, paper.models, **facts)


def _top(live: LiveMarket, count: int) -> list[str]:
    symbols, outcomes = live.top_symbols(count)
    # The coins chosen now are those of the state for good: half of the answers must not choose them.
    failed = [f"{outcome.exchange}: {outcome.error}" for outcome in outcomes if outcome.error]
    if failed:
        raise ArbError(f"the coins traded most cannot be chosen while an exchange fails ({'; '.join(failed)})")
    if not symbols:
        raise ArbError("no coin could be chosen by volume; name them in the configuration: symbols: [BTCUSDT]")
    return sorted(symbols)


class LiveTrading:
    """Brings a session up to now, hour by hour. ``on_hour`` hears of every hour right after it was committed."""

    def __init__(
        self,
        session: Session,
        live: LiveMarket,
        clock: Clock,
        *,
        on_hour: Callable[[Played], None] = lambda _: None,
        progress: Progress | None = None,
        max_catch_up_hours: int = PaperSettings().max_catch_up_hours,
    ) -> None:
        self.session, self._live, self._clock = session, live, clock
        self._on_hour, self._progress = on_hour, progress
        self._max_catch_up_hours = max_catch_up_hours
        self._tolerance = live.settings.collection.max_quote_age_seconds
        market = session.rolling.empty
        self._legs: list[LegName] = [market.leg_name(leg) for leg in range(market.legs)]
        self._silent: frozenset[str] = frozenset()
        self._gate = HourGate(session.rolling, session.journal, live.settings.gate)

    def run(self) -> Done:
        """Everything up to and including the current hour, or as many missed hours as are booked at once.

        Raises ``UserError`` when the clock stands before the state, or the exchanges agree that it is wrong.
        """
        played: list[Played] = []
        self._silent = frozenset()
        room = self._max_catch_up_hours
        # Fetching history can outlast the hour, so what is now is asked again after each step.
        while not self._is_done(room):
            last, hour = self.session.hour, self._hour()
            if last == hour - 1:
                self._now(hour, played)
            else:
                room -= self._past(last, hour, room, played)
        return Done(self._hour(), tuple(played), self._left())

    def look(self) -> LiveHour:
        """The current hour as the exchanges show it now: the hours before it are booked, it is not.

        It may be looked at again and again. Raises like ``run``, and ``UserError`` when the hour is booked already.
        """
        self._silent = frozenset()
        while self._left() or self.session.hour is None:
            last, hour = self.session.hour, self._hour()
            if last != hour - 1:
                self._past(last, hour, self._max_catch_up_hours, [])
                continue
            # A gate for each look: what one refuses must not be known to the next one of the same hour.
            seen = self._seen(hour, HourGate(self.session.rolling, self.session.journal, self._gate.limits))
            if seen is not None:
                return seen
        raise UserError(f"{shown(self._hour())} is booked already; look at what was booked")

    def _is_done(self, room: int) -> bool:
        """Whether the state has come to now, or as far as it may at once."""
        last, hour = self.session.hour, self._hour()
        return last is not None and (last >= hour or (last < hour - 1 and not room))

    def _left(self) -> int:
        """Hours from the state to now. Raises ``UserError`` when it is ahead."""
        last, now = self.session.hour, self._hour()
        if last is not None and last > now:
            raise UserError(
                f"the state has come to {shown(last)}, later than now ({shown_ms(self._clock())}); "
                "set the clock right, or give a later --now"
            )
        return 0 if last is None else now - last

    def _clocks(self) -> list[Stamp]:
        """What time it is by the exchanges that have answered just now."""
        return self._live.clocks(list(dict.fromkeys(symbol for symbol, _ in self._legs)), silent=self._silent)

    def _hour(self) -> int:
        return self._clock() // HOUR_MS

    def _past(self, last: int | None, hour: int, room: int, played: list[Played]) -> int:
        """Hours before ``hour``, as far as there is room for missed ones; returns how many these were."""
        missed = 0
        if last is None:
            self._remember(hour)
        else:
            upto = min(hour - 1, last + room)
            self._catch_up(last + 1, upto, played)
            missed = upto - last
        return_free_memory()
        return missed

    def _remember(self, hour: int) -> None:
        """What the strategy's windows need of the past, before the first hour that is played."""
        length = past_length(self.session.settings)
        histories = self._history(hour - length, self._clock())
        require_our_hour(self._clocks(), self._tolerance)
        hours, events = self._judged(past_hours(histories, self._legs, hour - length, hour - 1), histories)
        if not any(np.isfinite(facts.values).any() for facts in hours):
            raise ArbError(
                f"no exchange gave any history: {'; '.join(complaints_of(histories)) or 'nothing is listed'}"
            )
        complaints = [Event("no_history", complaint) for complaint in complaints_of(histories)]
        events[hour - 1] = [*events[hour - 1], *complaints]
        detail = "; ".join(filter(None, ["fetched at the first start", retries_of(histories.values())]))
        self.session.remember(hours, detail=detail, events=events)

    def _catch_up(self, first: int, last: int, played: list[Played]) -> None:
        """Hours that passed without us: booked at their times, protected hour by hour, nothing decided."""
        # The fill price of the last hour is the open of the bar that begins with it, so more than its price is fetched.
        histories = self._history(first, min(self._clock(), (last + 2) * HOUR_MS))
        require_our_hour(self._clocks(), self._tolerance)
        complaints = complaints_of(histories)
        detail = "; ".join(filter(None, [PASSED, retries_of(histories.values())]))
        hours, events = self._judged(past_hours(histories, self._legs, first, last, self._known(first - 1)), histories)
        # What was posted before we were away rested at the exchanges all the same; in a missed hour nothing is posted.
        rested = self._rested(self._live.extremes(resting_spans(self.session, self._legs, first)), first)
        hours[0] = replace(hours[0], extremes=rested.extremes)
        events[first] += [*rested.events, *self._gate.events(first, rested.refused)]
        for facts in hours:
            told = [Event("no_history", complaint) for complaint in complaints] if facts.hour == first else []
            told += events[facts.hour]
            self._tell(
                self.session.play(facts, status="missed", detail=detail, no_decision=PASSED, events=told), played
            )

    def _now(self, hour: int, played: list[Played]) -> None:
        """The current hour. When collecting outlasts it, it is left to be caught up."""
        seen = self._seen(hour, self._gate)
        if seen is None:
            return
        self._tell(
            self.session.play(
                seen.facts,
                status=seen.status,
                detail=seen.detail,
                no_decision=seen.no_decision,
                events=(*seen.events, *seen.news),
                quotes=seen.quotes,
            ),
            played,
        )

    def _seen(self, hour: int, gate: HourGate) -> LiveHour | None:
        """What the exchanges say of the current hour, as far as ``gate`` believes it; None when it was over by then."""
        past, since = due(self.session, self._legs, hour)
        symbols = list(dict.fromkeys(symbol for symbol, _ in self._legs))
        wanted = Wanted(since * HOUR_MS, self._clock(), bars=False)
        collection, histories, found = self._live.hour(
            symbols, past, wanted, book_symbols=held_first(self.session, self._legs, symbols), silent=self._silent,
            spans=resting_spans(self.session, self._legs, hour),
        )  # fmt: skip
        # Quotes that straddle the whole hour would be booked as those of an hour that was over.
        if self._hour() != hour:
            return None
        if another_time(stamps_of(collection.quotes), self._tolerance):
            require_our_hour(self._clocks(), self._tolerance)  # a single answer may be stale
        settled = settled_rates(histories, self._legs, hour, hour, self._known(hour - 1))
        retries = retries_of(collection.outcomes, histories.values())
        rested = self._rested(found, hour)
        complaints = [Event("no_settlements", complaint) for complaint in complaints_of(histories)]
        seen = live_hour(
            hour, self._legs, collection, settled, gate,
            complaints=[*complaints, *rested.events], retries=retries,
            refused=[*refusals_of(histories), *rested.refused],
        )  # fmt: skip
        notices, news = news_of_ends(collection.ends, self._legs, self.session.rolling.empty, hour)
        facts = replace(seen.facts, notices=tuple(notices), extremes=rested.extremes)
        return replace(seen, facts=facts, news=tuple(news))

    def _rested(self, found: Extremes, hour: int) -> Rested:
        """What is known of the minutes in which orders rested that ``hour`` books."""
        return believed_extremes(self.session, self._legs, found, hour, self._gate.limits)

    def _judged(
        self, hours: Sequence[HourFacts], histories: Mapping[str, ExchangeHistory]
    ) -> tuple[list[HourFacts], dict[int, list[Event]]]:
        """What is believed of hours that passed, and events by hour for what is not (older rows: at the first)."""
        gated = self._gate.judge(hours)
        refused = {hour.facts.hour: list(hour.refusals) for hour in gated}
        for refusal in refusals_of(histories):
            refused[refusal.hour if refusal.hour in refused else hours[0].hour].append(refusal)
        events = {hour: self._gate.events(hour, of_hour) for hour, of_hour in refused.items()}
        return [hour.facts for hour in gated], events

    def _tell(self, hour: Played, played: list[Played]) -> None:
        self._gate.forget(hour.hour)
        played.append(hour)
        self._on_hour(hour)

    def _history(self, first: int, now_ms: int) -> dict[str, ExchangeHistory]:
        """Bars and settlements for the hours from ``first`` on, with the day before that their volume needs."""
        symbols: dict[str, list[str]] = defaultdict(list)
        for symbol, exchange in self._legs:
            symbols[exchange].append(symbol)
        # A settlement from before the first hour shows the interval, and may have come out too late for that hour.
        wanted = Wanted((first - LONGEST_INTERVAL_HOURS - 1) * HOUR_MS, now_ms)
        watcher = None if self._progress is None else ProgressWatcher(self._progress)
        found = self._live.history(symbols, wanted, watcher=watcher, time_limit_seconds=HISTORY_LIMIT_SECONDS)
        if watcher is not None:
            watcher.end()
        self._silent = frozenset(name for name, history in found.items() if history.is_silent)
        return found

    def _known(self, last: int) -> set[tuple[int, int]]:
        """(leg, hour) of the settlements in the window that ends at ``last``."""
        legs, rows = np.nonzero(self.session.rolling.settled_rows())
        return set(zip(legs.tolist(), (rows + last - NOW).tolist(), strict=True))


def past_length(settings: EngineSettings) -> int:
    """Hours of the past that the longest window and the age limit need, and a settlement before them."""
    return max(HISTORY_HOURS, settings.min_history_hours) + LONGEST_INTERVAL_HOURS
