"""Schedule, service loop, log and notifications."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from loopback.faults import Rule
from loopback.server import LoopbackServer
from support_exchanges import world_of
from support_live import trader

from adapters.paper import service
from adapters.paper.log import LOG_FILE, PaperLog
from adapters.paper.messages import Message, messages_of
from adapters.paper.notify import Notifier
from adapters.paper.service import STOP, TICK, hourly_schedule
from adapters.paper.settings import NotifySettings
from engine.errors import ArbError


@pytest.mark.trap(26)
def test_trap_26_the_schedule_is_utc_coalesced_and_patient() -> None:
    """Through both nights of a change of the clocks there are 24 hours a day; a late tick is made up for, once."""
    scheduler = hourly_schedule(lambda: None, 80)
    scheduler.start(paused=True)
    (job,) = scheduler.get_jobs()
    assert (job.coalesce, job.max_instances, job.misfire_grace_time) == (True, 1, service.MISFIRE_GRACE_SECONDS)
    for day in (datetime(2025, 3, 30, tzinfo=UTC), datetime(2025, 10, 26, tzinfo=UTC)):
        fired, at = [], day
        while (at := job.trigger.get_next_fire_time(at, at + timedelta(seconds=1))) < day + timedelta(days=1):
            fired.append(at.astimezone(UTC))
        assert fired == [day + timedelta(hours=hour, seconds=80) for hour in range(24)]
        assert len({time.astimezone(ZoneInfo("Europe/Berlin")).hour for time in fired}) in (23, 24)
    scheduler.shutdown(wait=False)


class FakeService:
    """Counts its hours; ``troubles`` are raised in turn."""

    def __init__(self, troubles: list[Exception | None]) -> None:
        self.troubles, self.opened, self.hours, self.told = troubles, 0, 0, list[str]()
        self.log = self

    @contextmanager
    def open_anew(self) -> Iterator[FakeService]:
        self.opened += 1
        yield self

    def run_hour(self) -> None:
        self.hours += 1
        trouble = self.troubles.pop(0) if self.troubles else None
        if trouble is not None:
            raise trouble

    def tell(self, kind: str, text: str) -> None:
        self.told.append(f"{kind}: {text}")


def serve(fake: FakeService, *ticks: str, wait: float | None = None) -> bool:
    """One opened service over some ticks."""
    waiting: service.Ticks = queue.SimpleQueue()
    for tick in ticks:
        waiting.put(tick)
    return service._serve(fake.open_anew, waiting, fake.told.append, wait)


def test_ticks_are_served_until_told_to_stop() -> None:
    fake = FakeService([])
    assert serve(fake, TICK, TICK, STOP) is False
    assert (fake.opened, fake.hours) == (1, 2)
    assert serve(fake, STOP) is False
    assert fake.opened == 1


def test_after_an_error_the_state_is_opened_again_and_a_retry_does_not_wait_for_the_next_hour() -> None:
    fake = FakeService([ArbError("no exchange answers"), ZeroDivisionError("a defect")])
    assert serve(fake, TICK) is True
    assert serve(fake, wait=0.0) is True
    assert fake.told == ["error: no exchange answers", "error: ZeroDivisionError: a defect"]
    assert (fake.opened, fake.hours) == (2, 2)


class Hook(BaseHTTPRequestHandler):
    """A webhook that fails as often as the server says, then keeps what it gets."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked += 1  # type: ignore[attr-defined]  # our own on a stock server
        failing = self.server.asked <= self.server.failures  # type: ignore[attr-defined]  # our own on a stock server
        if not failing:
            self.server.got.append(body)  # type: ignore[attr-defined]  # our own on a stock server
        self.send_response(503 if failing else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def webhook(failures: int) -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        server.asked, server.failures, server.got = 0, failures, []  # type: ignore[attr-defined]  # our own on a stock server
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def notifier(server: HTTPServer, complaints: list[str], attempts: int) -> Notifier:
    settings = NotifySettings(url=f"http://127.0.0.1:{server.server_port}/hook?chat_id=1", attempts=attempts)
    return Notifier(settings, complaints.append, wait_seconds=0.0)


def test_notifications_are_repeated_until_they_arrive_and_only_the_chosen_ones() -> None:
    complaints: list[str] = []
    with webhook(failures=2) as server:
        told = notifier(server, complaints, attempts=3)
        told.send(Message("hour", "nobody wants this"))
        told.send(Message("entry", "entered BTCUSDT"))
        told.send(Message("exit", "left BTCUSDT"))
        told.close(10)
        assert [body["text"] for body in server.got] == ["entered BTCUSDT", "left BTCUSDT"]  # type: ignore[attr-defined]  # our own on a stock server
    assert complaints == []


def test_a_notification_that_cannot_be_delivered_is_complained_about_and_the_next_one_is_tried() -> None:
    complaints: list[str] = []
    with webhook(failures=2) as server:
        told = notifier(server, complaints, attempts=2)
        told.send(Message("entry", "one"))
        told.send(Message("entry", "two"))
        told.close(10)
        assert [body["text"] for body in server.got] == ["two"]  # type: ignore[attr-defined]  # our own on a stock server
    assert len(complaints) == 1
    assert complaints[0].endswith(": one")
    assert "503" in complaints[0]


def test_the_log_holds_one_json_object_a_line(tmp_path: Path) -> None:
    echoed: list[str] = []
    with PaperLog(tmp_path, echoed.append) as log:
        log.tell("entry", "entered 100% of it", hour=5)
        log.tell("hour", "done")
    lines = [json.loads(line) for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    assert [(line["kind"], line["text"], line.get("hour")) for line in lines] == [
        ("entry", "entered 100% of it", 5),
        ("hour", "done", None),
    ]
    assert echoed == ["entered 100% of it", "done"]


def test_what_is_told_after_the_end_leaves_the_file_closed(tmp_path: Path) -> None:
    """A notification may fail after the service has gone; the handler of the library would open its file again."""
    echoed: list[str] = []
    with PaperLog(tmp_path, echoed.append) as log:
        log.tell("hour", "done")
    log.tell("notify", "no answer")
    assert echoed == ["done", "no answer"]
    assert len((tmp_path / LOG_FILE).read_text().splitlines()) == 1


def test_an_hour_tells_of_entries_exits_and_of_changes_for_the_worse_and_the_better(tmp_path: Path) -> None:
    def occasions(before: str | None) -> tuple[str, set[str]]:
        hour = live.hour().hours[-1]
        return hour.status, {message.occasion for message in messages_of(hour, before, str)}

    with LoopbackServer(world_of(10, coins=("BTC", "ETH"))) as server, trader(tmp_path, server) as live:
        found = [occasions("ok") for _ in range(6)]
        assert {status for status, _ in found} == {"ok"}
        assert set().union(*(told for _, told in found)) == {"hour", "entry", "exit"}
        server.faults.rules.append(Rule("http500", "okx"))
        assert "degraded" in occasions("ok")[1]
        assert "degraded" not in occasions("degraded")[1]
        server.faults.rules.clear()
        assert "recovered" in occasions("degraded")[1]


@pytest.mark.trap(27)
def test_trap_27_one_hanging_exchange_does_not_keep_the_hour_from_being_decided(tmp_path: Path) -> None:
    with LoopbackServer(world_of(10, coins=("BTC", "ETH"))) as server:
        with trader(tmp_path, server) as live:
            live.hour()
        server.faults.rules.append(Rule("hang", "okx"))
        with trader(tmp_path, server, time_limit_seconds=2, ccxt={"timeout": 1000}, attempts=1) as live:
            began = datetime.now(UTC)
            hour = live.hour().hours[-1]
            spent = (datetime.now(UTC) - began).total_seconds()
    assert (hour.status, hour.decision.no_decision) == ("degraded", None)
    assert next(event.text for event in hour.events).startswith("okx: ")
    assert spent < 10
