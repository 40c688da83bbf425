"""Commands that an operator starts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from adapters.web.jobs import Jobs, Kind, State
from adapters.web.shapes import Refusal, Sent

Id = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]
Text = Annotated[str, Field(max_length=255)]


class Asked(Sent):
    """A command: `backtest` and `audit` take `strategy` and `data` (`sample` or a data set among the runs), `report`
    takes `run`, `verify` nothing."""

    kind: Kind
    args: dict[str, Text] = Field(default_factory=dict)


class Shown(BaseModel):
    """A job; `output` is the end of what it printed, when it has ended."""

    id: str
    kind: Kind
    state: State
    exit_code: int | None
    started: str
    output: str


def operators_only(request: Request) -> None:
    """Raises 403 for everybody who has not brought the token of an operator."""
    if request.scope.get("arb_scope") != "operator":
        raise HTTPException(403, "only an operator may start jobs: serve with --token-file and bring that token")


def jobs_router(jobs: Jobs) -> APIRouter:
    """Endpoints under ``/jobs``."""
    refused: dict[int | str, dict[str, Any]] = {403: {"model": Refusal}}
    router = APIRouter(tags=["jobs"], dependencies=[Depends(operators_only)], responses=refused)

    @router.post("/jobs", status_code=202, response_model=Shown)
    def start(asked: Asked) -> dict[str, Any]:
        """Start a command, one at a time; a backtest lies among the runs afterwards."""
        return jobs.start(asked.kind, asked.args).shown()

    @router.get("/jobs", response_model=list[Shown])
    def every() -> list[dict[str, Any]]:
        """The last twenty jobs, newest first."""
        return [job.shown() for job in jobs.every()]

    @router.get("/jobs/{job}", response_model=Shown)
    def one(job: Id) -> dict[str, Any]:
        """A job and what it printed."""
        return jobs.job(job).shown()

    @router.delete("/jobs/{job}", response_model=Shown)
    def stop(job: Id) -> dict[str, Any]:
        """End a job."""
        return jobs.stop(job).shown()

    return router
