"""The loopback server: every exchange of a world behind one port, on a simulated clock, with faults on demand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
import zlib
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from loopback import (
    wire_binanceusdm,
    wire_bitget,
    wire_bybit,
    wire_gate,
    wire_hyperliquid,
    wire_kucoinfutures,
    wire_mexc,
    wire_okx,
)
from loopback.faults import SHIFT_MS, Fault, Faults, RandomFaults, Rule, spoil
from loopback.wire import Call, RefusedError, Route
from loopback.world import Leg, World

WIRES: dict[str, Any] = {
    "binanceusdm": wire_binanceusdm,
    "bitget": wire_bitget,
    "bybit": wire_bybit,
    "gate": wire_gate,
    "hyperliquid": wire_hyperliquid,
    "kucoinfutures": wire_kucoinfutures,
    "mexc": wire_mexc,
    "okx": wire_okx,
}
HTML = "<html><head><title>502</title></head><body><h1>Bad gateway</h1></body></html>"


def addresses(base: str) -> dict[str, dict[str, Any]]:
    """What a configuration puts under ``exchanges.<name>.ccxt.urls.api`` to reach the server."""
    return {
        "binanceusdm": {"fapiPublic": f"{base}/binanceusdm/fapi/v1"},
        "bybit": {"public": f"{base}/bybit"},
        "okx": {"rest": f"{base}/okx"},
        "bitget": dict.fromkeys(("mix", "spot", "common"), f"{base}/bitget"),
        "gate": {"public": {"futures": f"{base}/gate", "spot": f"{base}/gate"}},
        "kucoinfutures": dict.fromkeys(("futuresPublic", "public", "utaV2", "uta"), f"{base}/kucoinfutures"),
        "mexc": {"contract": {"public": f"{base}/mexc/api/v1/contract"}, "spot": {"public": f"{base}/mexc"}},
        "hyperliquid": {"public": f"{base}/hyperliquid"},
    }


@dataclass
class LoopbackServer:
    """Runs in a thread of its own. ``world`` and ``faults`` may be changed at any time.

    ``requests`` counts by (exchange, kind); ``paths`` holds every (method, path) that was asked for.
    Over HTTP: ``POST /_control`` with ``now_ms``, ``rules`` or ``random``, and ``GET /_stats``.
    """

    world: World
    faults: Faults = field(default_factory=Faults)
    port: int = 0
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    paths: set[tuple[str, str]] = field(default_factory=set)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        """Connections that clients keep open now."""
        return len(self._runner.server.connections) if self._runner.server else 0

    def settle(self, seconds: float = 5.0) -> int:
        """Connections that are still open after the closing ones had time to close."""

        async def wait() -> None:
            async with asyncio.timeout(seconds):
                while self.open_connections:
                    await asyncio.sleep(0.005)

        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(wait(), self._loop).result(seconds + 1)
        return self.open_connections

    def exchanges(self, *names: str, **ccxt: Any) -> dict[str, Any]:
        """The ``exchanges`` section of a configuration for these exchanges (all when none is named)."""
        quick = {"enableRateLimit": False, "timeout": 20_000, "timeout_on_exit": 0, **ccxt}
        known = addresses(self.url)
        return {name: {"ccxt": {"urls": {"api": known[name]}, **quick}} for name in names or known}

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_post("/_control", self._control)
        app.router.add_get("/_stats", self._stats)
        app.router.add_route("*", "/{exchange}/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]  # running, so it has one

    async def _stop(self) -> None:
        await self._runner.cleanup()

    async def _control(self, request: web.Request) -> web.Response:
        order = await request.json()
        self.world.now_ms = order.get("now_ms", self.world.now_ms)
        if "rules" in order:
            self.faults.rules[:] = [Rule(**rule) for rule in order["rules"]]
        if "random" in order:
            self.faults.random = RandomFaults(**order["random"]) if order["random"] else None
        return web.json_response({"now_ms": self.world.now_ms})

    async def _stats(self, _: web.Request) -> web.Response:
        counts = {f"{exchange} {kind}": count for (exchange, kind), count in self.requests.items()}
        return web.json_response(
            {"now_ms": self.world.now_ms, "requests": counts, "connections": self.open_connections}
        )

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        exchange, path = request.match_info["exchange"], request.match_info["path"]
        self.paths.add((request.method, f"{exchange}/{path}"))
        query: dict[str, Any] = {**request.query, **(await request.json() if request.method == "POST" else {})}
        route = find_route(exchange, path, query)
        if route is None:
            return web.json_response({"error": f"no such address: {path}"}, status=404)
        self.requests[exchange, route.kind] += 1
        await asyncio.sleep(self.world.delays.get(exchange, 0))
        named = self._named(exchange, route, query)
        coin = named.coin if named else None
        fault = self.faults.pick(exchange, route.kind, coin, self.world.now_ms // 3_600_000)
        now = self.world.now_ms + (SHIFT_MS.get(fault, 0) if isinstance(fault, str) else 0)
        return await _respond(request, route, Call(self.world, exchange, now, query, named), fault)

    def _named(self, exchange: str, route: Route, query: dict[str, Any]) -> Leg | None:
        wanted = query.get("req", query).get(route.contract) if route.contract else None
        legs = (leg for (name, _), leg in self.world.legs.items() if name == exchange)
        return next((leg for leg in legs if WIRES[exchange].identity(leg) == wanted), None)


async def _respond(request: web.Request, route: Route, call: Call, fault: Fault | None) -> web.StreamResponse:
    if fault == "hang":
        await asyncio.Event().wait()
    if fault in ("http500", "http503"):
        return web.Response(status=int(fault[4:]), text=HTML, content_type="text/html")
    if fault in ("http429", "limit_body"):
        status, body = WIRES[call.exchange].LIMITED
        return web.json_response(body, status=429 if fault == "http429" else status)
    if fault == "bomb":
        packed = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        return web.Response(body=gzip_of_spaces(1_000), headers=packed)
    if fault == "moved":
        raise web.HTTPFound(str(request.url))
    if fault == "redirect":
        raise web.HTTPFound(f"http://localhost:{request.url.port}{request.path_qs}")
    if fault == "html":
        return web.Response(text=HTML, content_type="text/html")
    try:
        body = json.dumps(spoil(route.answer(call), fault))
    except RefusedError as error:
        return web.json_response(error.body, status=error.status)
    if fault == "half_json":
        return web.Response(text=body[: len(body) // 2], content_type="application/json")
    if fault == "cut":
        return await _cut(request, body)
    return web.Response(text=body, content_type="application/json")


async def _cut(request: web.Request, body: str) -> web.StreamResponse:
    """Promise the whole body, send half of it and drop the connection."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2].encode())
    if request.transport is not None:
        request.transport.abort()
    return response


@lru_cache
def gzip_of_spaces(megabytes: int) -> bytes:
    """So many MB of spaces as gzip, without its end: whoever reads that far has read too far."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    ten = packer.compress(b" " * 10_000_000) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + ten * (megabytes // 10)


def find_route(exchange: str, path: str, query: dict[str, Any]) -> Route | None:
    """The route of an address; a contract in the path is put into the query."""
    if exchange == "hyperliquid":
        return wire_hyperliquid.BY_TYPE.get(query.get("type", "")) if path == "info" else None
    if exchange not in WIRES:
        return None
    routes: dict[str, Route] = WIRES[exchange].ROUTES
    if path in routes:
        return routes[path]
    for pattern, route in routes.items():
        if "{" in pattern and (found := re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern), path)):
            query.update(found.groupdict())
            return route
    return None
