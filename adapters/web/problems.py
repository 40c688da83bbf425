"""Errors as answers: what is wrong and where, never what was sent, never a path of this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from adapters.web.guard import problem
from adapters.web.templates import page
from engine.errors import ArbError, DataError, NotFiniteError, UserError, cut

MOST_PROBLEMS = 20
LONGEST_PLACE, LONGEST_TEXT = 80, 300
PATHS = re.compile(r"(?<![\w:/])/(?:[^\s,;:'\"()]+/)*([^\s,;:'\"()/]+)")
"""A path of the file system; what is kept of it is its last part."""


class RefusedError(UserError):
    """What was sent cannot be answered; ``where`` names the part of it."""

    def __init__(self, what: str, *where: str | int) -> None:
        self.where = where
        super().__init__(what)


class MissingError(UserError):
    """There is nothing of this name."""


def public_words(error: ArbError) -> str:
    """An error without the paths of this machine."""
    text = error.problem if isinstance(error, DataError) else str(error)
    return cut(PATHS.sub(r"\1", text), LONGEST_TEXT)


def place_of(parts: tuple[Any, ...]) -> str:
    """Where in what was sent: ``body.observations.3``."""
    return cut(".".join(str(part) for part in parts), LONGEST_PLACE)


def answer_problems(app: FastAPI) -> None:
    """Make every error of the application an answer of one form."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # By pydantic's words alone: beside them it repeats what was sent.
        found = [
            {"where": place_of(tuple(one["loc"])), "what": cut(str(one["msg"]), LONGEST_TEXT)}
            for one in error.errors()[:MOST_PROBLEMS]
        ]
        return JSONResponse({"error": "what was sent is not what is asked for", "problems": found}, 422)

    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> JSONResponse:
        place = {"where": place_of(("body", *error.where)), "what": public_words(error)}
        return JSONResponse({"error": "what was sent is not what is asked for", "problems": [place]}, 422)

    @app.exception_handler(NotFiniteError)
    async def absurd(_: Request, error: NotFiniteError) -> JSONResponse:
        return problem(422, public_words(error))

    @app.exception_handler(MissingError)
    async def missing(request: Request, error: MissingError) -> Response:
        return _told(request, 404, public_words(error))

    @app.exception_handler(ArbError)
    async def told(request: Request, error: ArbError) -> Response:
        # What we read is not as it should be, or not there yet: the asker did nothing wrong.
        return _told(request, 503, public_words(error))

    @app.exception_handler(HTTPException)
    async def by_status(request: Request, error: HTTPException) -> Response:
        return _told(request, error.status_code, str(error.detail), error.headers)


def _told(request: Request, code: int, what: str, headers: Mapping[str, str] | None = None) -> Response:
    """For people as a page, for programs as JSON."""
    if "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/"):
        return page(request, "problem.html.j2", code, what=what, shown=code)
    return problem(code, what, headers)
