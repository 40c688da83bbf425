"""What happens is told to whoever listens, once, and a slow listener holds up nobody."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
from support_web import go_on, played_state

from adapters.paper.journal import Journal
from adapters.paper.recorded_run import records_of
from adapters.web.poller import MOST_WAITING, OF_HOURS, Event, Listener, Poller
from adapters.web.state import StateReader


def test_nothing_is_told_twice_and_nothing_is_left_out(tmp_path: Path) -> None:
    played_state(tmp_path, until=40)
    poller = Poller(StateReader(tmp_path))
    assert poller._news() == []  # what was there before anybody listened is no news
    assert poller._news() == []
    with Journal.open_for_reading(tmp_path) as journal:
        before = journal.rows("SELECT coalesce(max(id), 0) FROM events")[0][0]
    go_on(tmp_path, 60)
    found = poller._news()
    with Journal.open_for_reading(tmp_path) as journal:
        after = [row for (row,) in journal.rows("SELECT id FROM events WHERE id > ? ORDER BY id", before)]
    assert [event.id for event in found if event.kind not in OF_HOURS] == after
    with Journal.open_for_reading(tmp_path) as journal:
        hours = records_of(journal, 0)
    first = int(hours.hours["hour"][-1]) - 20
    left = [event for event in found if event.kind == "exit"]
    assert len(left) == np.count_nonzero(hours.trades["closed"] > first)
    assert all(", long " in event.text for event in left)
    assert any(event.kind == "entry" for event in found)
    assert [event.kind for event in found].count("hour") == 1
    assert found[-1].kind == "hour"
    assert poller._news() == []


def test_a_state_that_begins_anew_is_told(tmp_path: Path) -> None:
    import shutil

    played_state(tmp_path / "s", until=60)
    poller = Poller(StateReader(tmp_path / "s"))
    poller._news()
    shutil.rmtree(tmp_path / "s")
    assert poller._news() == []
    played_state(tmp_path / "s", until=40)
    assert [event.kind for event in poller._news()] == ["restart"]


def test_a_listener_that_comes_back_gets_what_it_missed(tmp_path: Path) -> None:
    played_state(tmp_path, until=100)
    poller = Poller(StateReader(tmp_path))
    with Journal.open_for_reading(tmp_path) as journal:
        ids = [row for (row,) in journal.rows("SELECT id FROM events ORDER BY id")]

    async def three() -> list[Event]:
        listening = poller.listen(ids[-4] if len(ids) > 4 else 0)
        return [await anext(listening) for _ in range(min(3, len(ids)))]

    assert [event.id for event in asyncio.run(three())] == ids[-3:]


def test_a_slow_listener_is_sent_away_and_the_others_hear_everything() -> None:
    poller = Poller(StateReader(Path("nowhere")))
    heard: list[int] = []

    async def play() -> tuple[Listener, int]:
        slow = Listener()
        poller._listeners.add(slow)

        async def listens() -> None:
            heard.extend([event.id async for event in poller.listen(None)])

        quick = asyncio.create_task(listens())
        await asyncio.sleep(0)
        for k in range(3 * MOST_WAITING):
            poller._tell(Event(k, "entry", "", ""))
            await asyncio.sleep(0)
        poller.close()
        await quick
        return slow, len(poller._listeners)

    slow, left = asyncio.run(play())
    assert slow.is_lost
    assert heard == list(range(3 * MOST_WAITING))
    assert left == 0


def test_the_end_of_the_service_ends_all_listening() -> None:
    poller = Poller(StateReader(Path("nowhere")))

    async def play() -> list[Any]:
        async def listens() -> list[Event]:
            return [event async for event in poller.listen(None)]

        tasks = [asyncio.create_task(listens()) for _ in range(20)]
        running = asyncio.create_task(poller.run())
        await asyncio.sleep(0)
        poller.close()
        return await asyncio.wait_for(asyncio.gather(running, *tasks), 5)

    assert asyncio.run(play())[1:] == [[]] * 20
