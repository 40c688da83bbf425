"""The service around live hours: wiring, schedule, log and notifications."""

from __future__ import annotations

import queue
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from adapters.exchanges.clients import clock_at
from adapters.exchanges.live import LiveMarket
from adapters.exchanges.settings import ExchangesSettings
from adapters.paper.history_progress import Progress
from adapters.paper.integrity import hour_of_log
from adapters.paper.live import Done, LiveTrading, open_live
from adapters.paper.log import PaperLog
from adapters.paper.memory import slim_down
from adapters.paper.messages import Message, in_short, messages_of, messages_of_money, shown
from adapters.paper.notify import Notifier
from adapters.paper.session import Played, Session
from adapters.paper.settings import PaperConfig
from adapters.paper.setup import prepare_player, session_of
from adapters.storage.causes import cause
from engine.errors import ArbError, in_words

MISFIRE_GRACE_SECONDS = 3000
"""A tick may come this late: within its hour it is still worth deciding on, and the journal knows what was done."""
NOTIFY_AT_EXIT_SECONDS = 15.0
RETRY_SECONDS = 60.0
TICK, STOP = "tick", "stop"

Ticks = queue.SimpleQueue[str]
"""A simple queue, because signal handlers may put into it at any moment."""


@dataclass
class Service:
    """An open state with everything that live hours need."""

    trading: LiveTrading
    log: PaperLog

    def run_hour(self, *, at_once: bool = False) -> str:
        """Do what is due and say in one line what that was; ``at_once``: no more missed hours than are booked at once.

        Raises like ``LiveTrading.run``.
        """
        while True:
            done = self.trading.run()
            line = summary(done)
            self.log.tell("run", line, hours=[hour.hour for hour in done.hours])
            if at_once or not done.left:
                return line


def summary(done: Done) -> str:
    """Which of done, done already, degraded or behind it is, in one line."""
    if not done.hours:
        return f"{shown(done.hour)}: done already"
    last = done.hours[-1]
    missed = sum(hour.status == "missed" for hour in done.hours)
    if done.left:
        booked = f"{missed} missed hours are booked, up to {shown(last.hour)}"
        return f"{shown(done.hour)}: {booked}; {done.left} are left, run again"
    late = f" after {missed} missed hours" if missed else ""
    if last.status != "degraded":
        return f"{shown(done.hour)}: done{late}"
    why = last.decision.no_decision or in_short([event.text for event in last.events])
    return f"{shown(done.hour)}: degraded{late}: {why}"


@contextmanager
def open_service(
    state: Path,
    config: PaperConfig,
    exchanges: ExchangesSettings,
    *,
    now: datetime | None,
    echo: Callable[[str], None],
    progress: Progress | None = None,
) -> Iterator[Service]:
    """Open (or start) the live state in a folder; closed in every case."""
    slim_down()
    paper = config.paper
    player = prepare_player(paper.strategy, config.engine, paper.models, paper.seed)
    clock = clock_at(now)
    with ExitStack() as stack:
        live = stack.enter_context(LiveMarket(exchanges, clock=clock))
        told_upto = hour_of_log(state)
        journal = stack.enter_context(open_live(state, paper, exchanges, player, live))
        # A live hour cannot be had again: its quotes are gone with the power cut.
        journal.sync_every_hour(wanted=True)
        log = stack.enter_context(PaperLog(state, echo))
        notifier = Notifier(paper.notify, lambda text: log.tell("notify", text))
        # Before the log closes, so that a message which fails now is still written down.
        stack.callback(notifier.close, NOTIFY_AT_EXIT_SECONDS)
        session = session_of(journal, player, excuse_errors=True)
        before = _last_status(journal.rows("SELECT status FROM slots ORDER BY hour"))
        teller = _Teller(session, log, notifier, paper.notify.drawdown_pct, before)
        teller.make_up(told_upto)
        trading = LiveTrading(
            session, live, clock or _machine_clock, on_hour=teller.hear, progress=progress,
            max_catch_up_hours=paper.max_catch_up_hours,
        )  # fmt: skip
        yield Service(trading, log)


@dataclass
class _Teller:
    """Turns every committed hour into lines and notifications."""

    session: Session
    log: PaperLog
    notifier: Notifier
    drawdown_limit_pct: float
    before: str | None

    def make_up(self, told_upto: int | None) -> None:
        """What a kill between an hour and its messages left untold; ``told_upto``: the last hour that the log has."""
        last = self.session.hour
        if told_upto is not None and last is not None:
            for hour in range(told_upto + 1, last + 1):
                self._tell(messages_of_money(self.session.journal, hour, self.drawdown_limit_pct), hour)

    def hear(self, hour: Played) -> None:
        # First what could be made up after a kill: the log's last hour says that it was told.
        money = messages_of_money(self.session.journal, hour.hour, self.drawdown_limit_pct)
        self._tell([*money, *messages_of(hour, self.before, self._pair_name)], hour.hour)
        self.before = hour.status

    def _tell(self, messages: Sequence[Message], hour: int) -> None:
        for message in messages:
            self.log.tell(message.occasion, message.text, hour=hour)
            self.notifier.send(message)

    def _pair_name(self, pair: int) -> str:
        rolling = self.session.rolling
        symbol, long_exchange = rolling.empty.leg_name(int(rolling.pairs.long_leg[pair]))
        short_exchange = rolling.empty.leg_name(int(rolling.pairs.short_leg[pair]))[1]
        return f"{symbol}: long {long_exchange}, short {short_exchange}"


def _last_status(rows: list[tuple[Any, ...]]) -> str | None:
    return rows[-1][0] if rows else None


def run_forever(open_anew: Callable[[], Any], delay_seconds: int, echo: Callable[[str], None]) -> None:
    """Run the current hour, then every hour until SIGTERM or SIGINT; the hour in progress is finished first.

    ``open_anew`` opens the service. After an error it is opened again, a minute later: the journal is the truth.
    """
    ticks: Ticks = queue.SimpleQueue()
    scheduler = hourly_schedule(lambda: ticks.put(TICK), delay_seconds)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ticks.put(STOP))
    # Ticks only wake the loop below: an hour that takes long delays the next one and never runs beside it.
    scheduler.start()
    ticks.put(TICK)
    try:
        wait: float | None = None
        while _served(open_anew, ticks, echo, wait):
            wait = RETRY_SECONDS
    finally:
        scheduler.shutdown(wait=False)


def _served(open_anew: Callable[[], Any], ticks: Ticks, echo: Callable[[str], None], wait: float | None) -> bool:
    """``_serve``; what keeps the state from being opened again is told, and tried again like any other error."""
    try:
        return _serve(open_anew, ticks, echo, wait)
    except Exception as error:
        told = str(error) if isinstance(error, ArbError) else cause(error)
        if wait is None or told is None:  # the first time it is for whoever starts the service; a defect always
            raise
        echo(f"error: {told}")
        return True


def hourly_schedule(tick: Callable[[], None], delay_seconds: int) -> BackgroundScheduler:
    """Calls ``tick`` each hour so many seconds after the whole hour, in UTC, late ones once."""
    # UTC: by local time an hour would be skipped or done twice when the clocks change.
    scheduler = BackgroundScheduler(timezone=UTC)
    trigger = CronTrigger(minute=delay_seconds // 60, second=delay_seconds % 60, timezone=UTC)
    # The library's own grace is 1 s, after which a tick is dropped; coalesce makes one tick
    # of many that were slept away.
    scheduler.add_job(tick, trigger, coalesce=True, max_instances=1, misfire_grace_time=MISFIRE_GRACE_SECONDS)
    return scheduler


def _serve(open_anew: Callable[[], Any], ticks: Ticks, echo: Callable[[str], None], wait: float | None) -> bool:
    """Serve ticks with one opened service, the first after ``wait`` seconds at the latest.

    Returns True when it has to be opened again, False to end.
    """
    if _next(ticks, wait) == STOP:
        return False
    with open_anew() as service:
        while True:
            try:
                service.run_hour()
            # An hour that broke off has left the session half way: only the journal says where to go on.
            except ArbError as error:
                echo(f"error: {error}")
                return True
            except Exception as error:  # a defect of ours must not end a service that may run again next hour
                service.log.tell("error", cause(error) or in_words(error))
                return True
            if ticks.get() == STOP:
                return False


def _next(ticks: Ticks, wait: float | None) -> str:
    try:
        return ticks.get(timeout=wait)
    except queue.Empty:
        return TICK


def _machine_clock() -> int:
    return time.time_ns() // 1_000_000
