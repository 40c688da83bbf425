"""The pages: the same facts as the API, for people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import AwareDatetime

from adapters.paper.drawdown import drawdown_pct
from adapters.paper.drilldown import position_of
from adapters.paper.journal import Journal
from adapters.paper.messages import shown
from adapters.paper.status import status_of
from adapters.paper.tables import page_of, whole_hour
from adapters.scan.of_state import source_of_state
from adapters.scan.rows import SORTS
from adapters.web.jobs import Jobs
from adapters.web.models import Models, facts_of
from adapters.web.offers import Offers
from adapters.web.problems import MissingError, RefusedError, public_words
from adapters.web.routers.offers import Sort, chosen
from adapters.web.routers.paper import Moment, hour_number
from adapters.web.state import StateReader
from adapters.web.templates import page
from engine.errors import UserError
from engine.windows import EPOCH, time_of

TRADES_BESIDE, ON_A_PAGE = 8, 200


def pages_router(
    state: StateReader, offers: Offers, models: Models, jobs: Jobs, now: Callable[[], datetime]
) -> APIRouter:
    """Every page but the log-in."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @router.get("/")
    def front(request: Request) -> HTMLResponse:
        return page(request, "now.html.j2", here="/", **_now(state, jobs, now()))

    @router.get("/parts/now")
    def front_part(request: Request) -> HTMLResponse:
        return page(request, "now_parts.html.j2", **_now(state, jobs, now()))

    @router.get("/opportunities")
    def opportunities(
        request: Request, sort: Sort = "apr", min_apr: Annotated[str, Query(pattern=r"^-?[0-9.]{0,9}$")] = "",
        hour: Moment = None,
    ) -> HTMLResponse:  # fmt: skip
        try:
            least = float(min_apr) if min_apr else None
        except ValueError:
            raise RefusedError("it is no number", "min_apr") from None
        at = None if hour is None else time_of(hour_number(hour))
        found = offers.scan(chosen(sort, least, "", "", ON_A_PAGE), now(), at)
        return page(
            request,
            "opportunities.html.j2",
            here="/opportunities",
            scan=found,
            sorts=SORTS,
            min_apr=min_apr,
            is_past=at is not None,
        )

    @router.get("/trades")
    def trades(request: Request, after: Annotated[int | None, Query(ge=0, le=2**62)] = None) -> HTMLResponse:
        with state.journal() as journal:
            found = page_of(journal, state.tape(journal), "trades", after, ON_A_PAGE)
        return page(request, "trades.html.j2", here="/trades", trades=found.rows, after=found.after)

    @router.get("/positions/{position}")
    def position(request: Request, position: Annotated[int, Path(ge=0, le=2**62)]) -> HTMLResponse:
        with state.journal() as journal:
            found = position_of(journal, state.tape(journal), position)
        if found is None:
            raise MissingError("the journal has no such position")
        return page(request, "position.html.j2", here="/trades", position=found)

    @router.get("/hours/{hour}")
    def hour(request: Request, hour: Annotated[AwareDatetime, Path()]) -> HTMLResponse:
        with state.journal() as journal:
            found = whole_hour(journal, state.tape(journal), hour_number(hour))
        if found is None:
            raise MissingError("the journal does not have this hour")
        return page(request, "hour.html.j2", here="/", hour=found)

    @router.get("/models")
    def deployed(request: Request) -> HTMLResponse:
        shelf = models.shelf()
        facts = [facts_of(name, bundle, None) for name, bundle in shelf.bundles.items()]
        return page(request, "models.html.j2", here="/models", models=facts, card=shelf.card, problem=shelf.problem)

    @router.get("/pictures/{name}")
    def picture(name: Literal["best_trade.svg", "worst_trade.svg"]) -> Response:
        """A picture that a card shows."""
        return Response(models.picture(name), media_type="image/svg+xml")

    @router.get("/api")
    def calls(request: Request) -> HTMLResponse:
        found = [
            {"method": method.upper(), "path": path, "what": (call.get("description") or "").partition("\n")[0]}
            for path, methods in request.app.openapi()["paths"].items()
            for method, call in methods.items()
        ]
        return page(request, "api.html.j2", here="/api", calls=found)

    return router


def _now(state: StateReader, jobs: Jobs, moment: datetime) -> dict[str, Any]:
    """What the front page says; an empty state is no error."""
    try:
        with state.journal() as journal:
            verified = next((job.shown() for job in jobs.every() if job.kind == "verify"), None)
            return {**_front_of(journal, state, moment), "verified": verified}
    except UserError as error:
        return {"status": None, "why": public_words(error)}


def _front_of(journal: Journal, state: StateReader, moment: datetime) -> dict[str, Any]:
    status, last = status_of(journal, moment), journal.last_hour
    equity = float(status["equity_usd"])
    past = journal.rows("SELECT equity FROM equity WHERE hour <= ? ORDER BY hour DESC LIMIT 1", (last or 0) - 24)
    return {
        "status": status,
        "day_usd": equity - float(past[0][0]) if past else status["pnl_usd"],
        "drawdown_pct": drawdown_pct(journal),
        "synthetic": source_of_state(journal.folder, journal.meta).synthetic,
        "trades": page_of(journal, state.tape(journal), "trades", None, TRADES_BESIDE).rows,
        "exchanges": _exchanges(journal, last),
    }


def _exchanges(journal: Journal, last: int | None) -> list[dict[str, Any]]:
    """How many legs of every exchange had a price at the last hour, when it had one at all, and when it answered."""
    if last is None:
        return []
    found = journal.rows(
        "SELECT exchange, count(*), (SELECT count(*) FROM observations JOIN legs AS l USING (leg) WHERE hour = ? AND "
        "price IS NOT NULL AND l.exchange = legs.exchange), (SELECT max(hour) FROM observations JOIN legs AS l "
        "USING (leg) WHERE hour > ? AND price IS NOT NULL AND l.exchange = legs.exchange), (SELECT max(json_extract("
        "quote, '$.collected_ms')) FROM quotes JOIN legs AS l USING (leg) WHERE hour = ? AND l.exchange = "
        "legs.exchange) FROM legs GROUP BY exchange ORDER BY exchange", last, last - 168, last,
    )  # fmt: skip
    return [
        {
            "exchange": name, "legs": legs, "priced": priced, "last": None if hour is None else shown(hour),
            "answered": None if at is None else f"{EPOCH + timedelta(milliseconds=at):%Y-%m-%dT%H:%M:%S}",
        }
        for name, legs, priced, hour, at in found
    ]  # fmt: skip
