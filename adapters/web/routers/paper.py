"""Paper trading: what the journal has, by the functions that the command line uses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime

from adapters.paper.drilldown import position_of
from adapters.paper.journal import Journal
from adapters.paper.messages import shown
from adapters.paper.setup import settings_of
from adapters.paper.status import STALE, status_json, status_of
from adapters.paper.tables import MOST_ROWS, equity_points, funding_of, page_of, quotes_of, whole_hour
from adapters.storage.csv_files import rows_text
from adapters.storage.provenance import code_version
from adapters.web.problems import MissingError, RefusedError
from adapters.web.shapes import Health, Rows, Values
from adapters.web.state import StateReader
from engine.settings import hash_of
from engine.windows import EPOCH, time_of

EARLIEST, LATEST = 0, 2**40
Moment = Annotated[AwareDatetime | None, Query(description="a time with its zone, such as 2025-01-31T23:00Z")]
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS)]
After = Annotated[int | None, Query(ge=0, le=2**62, description="`after` of the page before")]
Name = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9._:-]{1,40}$")]
Table = Literal["trades", "ledger", "notes", "events", "hours"]


def paper_router(state: StateReader, now: Callable[[], datetime]) -> APIRouter:
    """Endpoints under ``/paper``, and ``/health``."""
    router = APIRouter(tags=["paper trading"])

    @router.get("/health", response_model=Health, responses={503: {"description": "with strict=1: it is stale"}})
    def health(response: Response, strict: bool = False) -> dict[str, Any]:
        """Health in words and why."""
        with state.journal() as journal:
            found = health_of(journal, now())
        if strict and found["health"] == STALE:
            response.status_code = 503
        return found

    @router.get("/paper/status", response_class=Response)
    def status(request: Request) -> Response:
        """What `arb paper-status --json` prints, byte for byte. Its ETag is the last hour in the journal."""
        with state.journal() as journal:
            # Health grows old between two hours, so that it is part of what a reader may already have.
            found = status_of(journal, now())
            tag = f'"{journal.last_hour}-{found["health"]}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag})
        return Response(status_json(found), media_type="application/json", headers={"etag": tag})

    @router.get("/paper/positions", response_model=Values)
    def positions() -> dict[str, Any]:
        """Open positions with both legs: prices, rates, next settlements, what is pending."""
        with state.journal() as journal:
            return {"rows": status_of(journal, now())["positions"]}

    @router.get("/paper/positions/{position}")
    def position(position: Annotated[int, Path(ge=0, le=2**62)]) -> dict[str, Any]:
        """A position, open or closed: every movement of its money, prices of both legs, the decision to enter."""
        with state.journal() as journal:
            found = position_of(journal, state.tape(journal), position)
        if found is None:
            raise MissingError("the journal has no such position")
        return found

    @router.get("/paper/equity", response_model=Values)
    def equity(
        start: Annotated[AwareDatetime | None, Query(alias="from")] = None,
        end: Annotated[AwareDatetime | None, Query(alias="to")] = None,
        step: Literal["1h", "1d"] = "1h",
    ) -> dict[str, Any]:
        """Equity, cash and drawdown at the end of hours or days; at most 5,000 points, never averaged."""
        with state.journal() as journal:
            return {"rows": equity_points(journal, *_span(start, end), 1 if step == "1h" else 24)}

    @router.get("/paper/funding", response_model=Values)
    def funding(
        symbol: Name = None,
        exchange: Name = None,
        start: Annotated[AwareDatetime | None, Query(alias="from")] = None,
        end: Annotated[AwareDatetime | None, Query(alias="to")] = None,
        limit: Limit = 200,
    ) -> dict[str, Any]:
        """Settled rates, newest first, and what they moved."""
        with state.journal() as journal:
            return {"rows": funding_of(journal, symbol, exchange, *_span(start, end), limit)}

    @router.get("/paper/quotes", response_model=Values)
    def quotes(hour: Moment = None) -> dict[str, Any]:
        """What every exchange said at an hour; without one at the last."""
        with state.journal() as journal:
            at = journal.last_hour if hour is None else hour_number(hour)
            return {"rows": [] if at is None else quotes_of(journal, at)}

    @router.get("/paper/hours/{hour}")
    def one_hour(hour: Annotated[AwareDatetime, Path(description="such as 2025-01-31T23:00Z")]) -> dict[str, Any]:
        """Everything of one hour: the decision, fills, settlements, events, quotes."""
        with state.journal() as journal:
            found = whole_hour(journal, state.tape(journal), hour_number(hour))
        if found is None:
            raise MissingError("the journal does not have this hour")
        return found

    @router.get("/paper/{table}", response_model=Rows, responses={200: {"content": {"text/csv": {}}}})
    def table(request: Request, table: Table, after: After = None, limit: Limit = 200) -> Any:
        """A page of a table, newest rows first; CSV with `Accept: text/csv`."""
        with state.journal() as journal:
            page = page_of(journal, state.tape(journal), table, after, limit)
        if "text/csv" in request.headers.get("accept", ""):
            return csv_of(page.rows)
        return page._asdict()

    return router


def health_of(journal: Journal, now: datetime) -> dict[str, Any]:
    """``Health`` of a state."""
    status, settings, last = status_of(journal, now), settings_of(journal.meta), journal.last_hour
    goes_on = status["mode"] != "replay"
    return {
        **{name: status[name] for name in ("health", "why", "mode", "strategy", "last_hour")},
        "age_seconds": None if last is None else (now - time_of(last)).total_seconds(),
        "next_expected": shown(last + 1) if last is not None and goes_on else None,
        "version": code_version(),
        "settings_hash": hash_of(journal.meta["settings"]),
        "cost_table_hash": settings.cost_table_hash(),
    }


def hour_number(time: datetime) -> int:
    """The hour number of a time. Raises ``RefusedError`` for one that is not on a whole hour."""
    seconds = (time - EPOCH).total_seconds()
    if seconds % 3600 or not 0 <= seconds < 3600 * LATEST:
        raise RefusedError("it is not a whole hour", "hour")
    return int(seconds // 3600)


def _span(start: datetime | None, end: datetime | None) -> tuple[int, int]:
    first = EARLIEST if start is None else int((start - EPOCH).total_seconds() // 3600)
    last = LATEST if end is None else int((end - EPOCH).total_seconds() // 3600)
    return max(first, EARLIEST), min(last, LATEST)


def csv_of(rows: list[dict[str, Any]]) -> Response:
    """Rows as CSV, quoted as the files of a run are."""
    headings = list(rows[0]) if rows else []
    text = rows_text(headings, ([_cell(row[name]) for name in headings] for row in rows))
    return Response(text, media_type="text/csv")


def _cell(value: Any) -> Any:
    return "; ".join(map(str, value)) if isinstance(value, list) else value


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)
