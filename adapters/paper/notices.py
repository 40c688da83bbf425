"""What exchanges say about the ends of their contracts, as far as it is news."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapters.paper.entries import Event
from adapters.paper.live_facts import LegName
from engine.market.data import NEVER, MarketData
from engine.market.notices import Notice, later_word
from engine.windows import time_of


def news_of_ends(
    ends: Mapping[LegName, int | None], legs: Sequence[LegName], market: MarketData, hour: int
) -> tuple[list[Notice], list[Event]]:
    """Notices for the legs whose end, as stated now, is not the one that ``market`` knows; an event for each.

    ``ends``: by leg the hour number of its end, None for a contract that goes on. A leg that no list of contracts
    names is as it was.
    """
    notices, events = [], []
    for leg, name in enumerate(legs):
        # An exchange that failed says nothing of its ends; taken for "goes on" it would cancel a known delisting.
        if name not in ends:
            continue
        stated = ends[name]
        end = NEVER if stated is None else stated
        standing = int(market.delisting_hour[leg]), int(market.delisting_known_hour[leg])
        if later_word(standing, end, hour) != standing:
            notices.append(Notice(leg, end))
            events.append(Event("delisting", f"{name[0]} on {name[1]} {_news(end, standing[0])}"))
    return notices, events


def _news(end: int, before: int) -> str:
    if end == NEVER:
        return f"goes on: its end at {time_of(before):%Y-%m-%dT%H:%MZ} was taken back"
    moved = "" if before == NEVER else f", not at {time_of(before):%Y-%m-%dT%H:%MZ} as it was before"
    return f"ends at {time_of(end):%Y-%m-%dT%H:%MZ}{moved}: no entry from the hour before on, what is held leaves then"
