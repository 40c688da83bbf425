"""Who may ask for what: looked at before anything else sees a request."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.web.serving import LOOPBACK, Serving
from adapters.web.tokens import scope_of, scope_of_session

COOKIE = "arb_session"
SAFE_METHODS = ("GET", "HEAD")
OPEN_PATHS = ("/healthz", "/login")
TRIES, LOCKED_SECONDS, REMEMBERED = 5, 60.0, 1000
HEADERS = {
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}


class WrongTries:
    """Counts wrong secrets by address; after five of them the address waits for a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tries: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def is_locked(self, address: str) -> bool:
        """Whether the address must wait."""
        count, last = self._tries.get(address, (0, 0.0))
        return count >= TRIES and self._clock() - last < LOCKED_SECONDS

    def add(self, address: str) -> None:
        """A wrong secret came from an address."""
        count, last = self._tries.pop(address, (0, 0.0))
        now = self._clock()
        self._tries[address] = (1 if now - last >= LOCKED_SECONDS else count + 1, now)
        while len(self._tries) > REMEMBERED:
            self._tries.popitem(last=False)

    def forget(self, address: str) -> None:
        """The right secret came from it."""
        self._tries.pop(address, None)


class Guard:
    """Refuses foreign hosts and origins, asks for a secret where one is set, and puts headers on every answer.

    A page of another site can make a browser of this machine ask us, by its own name for our address: so the host is
    checked on every request, and on writes the origin too. ``scope["arb_scope"]`` is what the asker may do.
    """

    def __init__(self, app: ASGIApp, serving: Serving, tries: WrongTries, now: Callable[[], float] = time.time) -> None:
        self.app, self._serving, self._tries, self._now = app, serving, tries, now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # Nothing here speaks WebSocket; the start and the end of the service pass.
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        scope = self._rooted(scope)
        answer = self._refusal(scope)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await (answer or self.app)(scope, receive, with_headers)

    def _rooted(self, scope: Scope) -> Scope:
        """The request below the root path, whether the proxy left that in the path or took it away."""
        root = self._serving.root_path
        if not root:
            return scope
        path = str(scope["path"])
        whole = path if path == root or path.startswith(f"{root}/") else f"{root}{path}"
        return {**scope, "root_path": root, "path": whole, "raw_path": whole.encode()}

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not self._is_ours(_host_in(f"//{headers.get('host', '')}")):
            return problem(421, "this host name is not served here; --allow-host NAME allows one")
        if scope["method"] not in SAFE_METHODS and (refused := self._refused_write(scope, headers)):
            return refused
        return self._unknown_asker(scope, headers)

    def _is_ours(self, host: str | None) -> bool:
        return host is not None and host in (*LOOPBACK, *self._serving.hosts)

    def _refused_write(self, scope: Scope, headers: Headers) -> Response | None:
        origin = headers.get("origin")
        if origin is not None and not self._is_same(origin, headers.get("host", "")):
            return problem(403, "another site may not write here")
        wanted = "application/x-www-form-urlencoded" if _path(scope) == "/login" else "application/json"
        if scope["method"] == "POST" and headers.get("content-type", "").partition(";")[0].strip().lower() != wanted:
            return problem(415, f"the body must be {wanted}")
        return None

    def _is_same(self, origin: str, host: str) -> bool:
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        # Behind a proxy the host that we see is not the one that the browser called.
        return parts.netloc == host or parts.hostname in self._serving.hosts

    def _unknown_asker(self, scope: Scope, headers: Headers) -> Response | None:
        scope["arb_scope"] = "viewer"
        path = _path(scope)
        if not self._serving.needs_login or path in OPEN_PATHS or path.startswith("/static/"):
            return None
        connection = HTTPConnection(scope)
        address = address_of(scope)
        if (given := headers.get("authorization")) is not None:
            if self._tries.is_locked(address):
                return problem(429, "too many wrong tries; wait a minute", {"retry-after": "60"})
            kind, _, secret = given.partition(" ")
            found = scope_of(self._serving.tokens, secret.strip()) if kind.lower() == "bearer" else None
            if found is None:
                self._tries.add(address)
        else:
            found = scope_of_session(self._serving.tokens, connection.cookies.get(COOKIE, ""), self._now())
        if found is not None:
            scope["arb_scope"] = found
            return None
        if path.startswith("/api/") or path in ("/metrics", "/openapi.json") or scope["method"] not in SAFE_METHODS:
            return problem(401, "say who you are: Authorization: Bearer TOKEN", {"www-authenticate": "Bearer"})
        return RedirectResponse(f"{scope.get('root_path', '')}/login", 303)


def problem(status: int, what: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The one form of everything that is refused."""
    return JSONResponse({"error": what}, status, headers=dict(headers or {}))


def address_of(scope: Scope) -> str:
    """The address of whoever asks."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def _host_in(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for one that is no number
    except ValueError:
        return None
    return parts.hostname


def _path(scope: Scope) -> str:
    """The path below the root path, which the server may have put before it or not."""
    root, path = scope.get("root_path", ""), str(scope["path"])
    return path[len(root) :] or "/" if root and path.startswith(root) else path
