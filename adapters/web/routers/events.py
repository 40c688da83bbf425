"""What happens, as it happens: server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from adapters.web.poller import Poller


def events_router(poller: Poller) -> APIRouter:
    """``/events``."""
    router = APIRouter(tags=["events"])

    @router.get("/events", response_class=EventSourceResponse)
    async def events(
        last_event_id: Annotated[str | None, Header(pattern=r"^[0-9]{1,18}$")] = None,
    ) -> AsyncIterator[ServerSentEvent]:
        """New hours and events; `Last-Event-ID` resumes. A listener that is too slow is closed and fetches again."""
        after = None if last_event_id is None else int(last_event_id)
        async for event in poller.listen(after):
            yield ServerSentEvent(data=event._asdict(), event=event.kind, id=str(event.id))

    return router
