"""Is it alive, and who are you."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from adapters.web.guard import COOKIE, WrongTries, address_of, problem
from adapters.web.serving import Serving
from adapters.web.templates import page
from adapters.web.tokens import SESSION_SECONDS, scope_of, session_cookie

LONGEST_FORM = 4096


def login_router(serving: Serving, tries: WrongTries) -> APIRouter:
    """``/healthz`` and ``/login``, which are open to everybody."""
    router = APIRouter(tags=["operations"])

    @router.get("/healthz")
    def alive() -> dict[str, str]:
        """The process lives; nothing more is told."""
        return {"status": "alive"}

    @router.get("/login", include_in_schema=False)
    def form(request: Request) -> Response:
        return page(request, "login.html.j2", wrong=False, needed=serving.needs_login)

    @router.post("/login", include_in_schema=False)
    async def login(request: Request) -> Response:
        address, root = address_of(request.scope), request.scope.get("root_path", "")
        if not serving.needs_login:
            return RedirectResponse(f"{root}/", 303)
        if tries.is_locked(address):
            return problem(429, "too many wrong tries; wait a minute", {"retry-after": "60"})
        body = await request.body()
        given: dict[str, Any] = parse_qs(body[:LONGEST_FORM].decode("utf-8", "replace"))
        scope = scope_of(serving.tokens, "".join(given.get("token", [""])[:1]).strip())
        if scope is None:
            tries.add(address)
            return page(request, "login.html.j2", 401, wrong=True, needed=True)
        tries.forget(address)
        answer = RedirectResponse(f"{root}/", 303)
        answer.set_cookie(
            COOKIE, session_cookie(serving.tokens, scope, time.time()), max_age=SESSION_SECONDS, path=f"{root}/",
            httponly=True, samesite="strict", secure=request.headers.get("x-forwarded-proto") == "https",
        )  # fmt: skip
        return answer

    return router
