"""Run folders: what was tried, and what came of it."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, Response

from adapters.paper.tables import plain_rows
from adapters.research.run_list import SortKey
from adapters.web.routers.paper import csv_of
from adapters.web.runs import Runs
from adapters.web.shapes import Values
from adapters.web.templates import page

Id = Annotated[str, Path(min_length=1, max_length=255, description="name of a folder in the folder of runs")]
Player = Annotated[str | None, Query(max_length=255, description="of several in one run")]
REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "frame-ancestors 'none'; sandbox allow-scripts"
)
"""A report brings its scripts with it, so it is kept apart: it can ask this service nothing."""


def runs_router(runs: Runs) -> APIRouter:
    """Endpoints under ``/runs`` and ``/pbt``."""
    router = APIRouter(tags=["runs"])

    @router.get("/runs", response_model=Values)
    def every_run(sort: SortKey = "started") -> dict[str, Any]:
        """The folders of runs with their numbers, as `arb runs --json` prints them."""
        return {"rows": runs.rows(sort)}

    @router.get("/runs/{run}")
    def one_run(run: Id) -> dict[str, Any]:
        """A run, and which players have files of their own."""
        return runs.one(run)

    @router.get("/runs/{run}/metrics")
    def metrics(run: Id, player: Player = None) -> dict[str, Any]:
        """Every figure of a backtest."""
        return dict(runs.saved(run, player).metrics)

    @router.get("/runs/{run}/manifest")
    def manifest(run: Id) -> Response:
        """What a run was made by."""
        return Response(json.dumps(json.loads(runs.manifest(run))), media_type="application/json")

    @router.get("/runs/{run}/{table}", response_model=Values, responses={200: {"content": {"text/csv": {}}}})
    def table(request: Request, run: Id, table: Literal["trades", "equity"], player: Player = None) -> Any:
        """Trades or equity of a backtest; CSV with `Accept: text/csv`."""
        rows = plain_rows(getattr(runs.saved(run, player), table))
        if "text/csv" in request.headers.get("accept", ""):
            return csv_of(rows)
        return {"rows": rows}

    @router.get("/pbt/{run}")
    def population(run: Id) -> dict[str, Any]:
        """A population: its ranking and what it has done so far."""
        return runs.population(run)

    return router


def run_pages_router(runs: Runs) -> APIRouter:
    """The pages about runs."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @router.get("/runs")
    def every_run(request: Request, sort: SortKey = "started") -> HTMLResponse:
        return page(request, "runs.html.j2", here="/runs", runs=runs.rows(sort))

    @router.get("/pbt/{run}")
    @router.get("/runs/{run}/report.html")
    def report(run: Id, player: Player = None) -> HTMLResponse:
        if player is not None:
            found = runs.saved(run, player).folder / "report.html"
            text = found.read_text(encoding="utf-8") if found.is_file() else runs.text(run, None)
        else:
            text = runs.text(run, runs.row(run).report)
        return HTMLResponse(text, headers={"content-security-policy": REPORT_POLICY})

    return router
