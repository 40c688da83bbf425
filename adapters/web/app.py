"""The application: guarded routers over functions that the command line uses too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response
from starlette.middleware import Middleware
from starlette.staticfiles import StaticFiles

from adapters.reporting.page.assets import asset
from adapters.web.guard import Guard, WrongTries
from adapters.web.jobs import Jobs
from adapters.web.models import Models
from adapters.web.offers import Offers
from adapters.web.poller import Poller
from adapters.web.problems import answer_problems
from adapters.web.routers.events import events_router
from adapters.web.routers.jobs import jobs_router
from adapters.web.routers.logins import login_router
from adapters.web.routers.metrics import metrics_router
from adapters.web.routers.models import models_router
from adapters.web.routers.offers import offers_router
from adapters.web.routers.older import older_router
from adapters.web.routers.pages import pages_router
from adapters.web.routers.paper import paper_router, utc_now
from adapters.web.routers.runs import run_pages_router, runs_router
from adapters.web.runs import Runs
from adapters.web.serving import PREFIX, Serving
from adapters.web.shapes import Refusal
from adapters.web.state import StateReader

MOST_BODY_BYTES = 2**20
CACHED = {"cache-control": "max-age=3600"}
DESCRIPTION = (
    "What paper trading does, and what the deployed policy would do. Everything only reads: no order is sent anywhere. "
    "Times are UTC with a Z, money is USD, rates are decimals, and what is not known is null."
)


def create_app(serving: Serving, now: Callable[[], datetime] = utc_now) -> FastAPI:
    """The application for a server of ASGI, or for tests."""
    runs, jobs = Runs(serving.runs), Jobs(serving)
    state, models, tries = StateReader(serving.state), Models(serving.models), WrongTries()
    poller, offers = Poller(state), Offers(state)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(poller.run())
        try:
            yield
        finally:
            poller.close()
            jobs.close()
            await task

    app = FastAPI(
        title="arb", version=version("arb"), description=DESCRIPTION, lifespan=lifespan,
        # The library's own pages fetch scripts from elsewhere.
        docs_url=None, redoc_url=None, openapi_url="/openapi.json", max_body_size=MOST_BODY_BYTES,
        middleware=[Middleware(Guard, serving=serving, tries=tries)],
        responses={code: {"model": Refusal} for code in (401, 404, 422, 503)},
    )  # fmt: skip
    answer_problems(app)
    app.state.poller = poller
    for router in (
        offers_router(offers, now), paper_router(state, now), models_router(models), runs_router(runs),
        events_router(poller), jobs_router(jobs),
    ):  # fmt: skip
        app.include_router(router, prefix=PREFIX)
    if serving.older_api:
        app.include_router(older_router(models))
    app.include_router(metrics_router(state, now))
    app.include_router(login_router(serving, tries))
    app.include_router(run_pages_router(runs))
    app.include_router(pages_router(state, offers, models, jobs, now))
    _serve_files(app)
    return app


def _serve_files(app: FastAPI) -> None:
    @app.get("/static/report.css", include_in_schema=False)
    def style(_: Request) -> Response:
        """The style of the reports: pages of arb look alike."""
        return PlainTextResponse(str(asset("style.css")), media_type="text/css", headers=CACHED)

    app.mount("/static", _Files(directory=Path(str(files("adapters.web") / "static"))))


class _Files(StaticFiles):
    """Files that a browser may keep: their names carry their versions."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """The file, to be asked for again when it may have changed."""
        answer = super().file_response(*arguments, **options)
        answer.headers["cache-control"] = "no-cache"
        return answer


def openapi_text(serving: Serving) -> str:
    """The description of the API as the repository keeps it."""
    import json

    return json.dumps(create_app(serving).openapi(), indent=1, sort_keys=True) + "\n"
