"""Answers of bounded size, from the host that was asked: what is sent can neither fill the memory nor lead elsewhere.

Nothing that is refused here is worth a repetition: the next answer would be the same.
"""

from __future__ import annotations

from typing import Any

import aiohttp
import ccxt.async_support as ccxt
import yarl

MEGABYTE = 1_000_000


class RefusedAnswer(ccxt.ExchangeError):  # type: ignore[misc]  # ccxt ships no types
    """An answer that is too long, or that leads to another host."""


def bound_answers(client: Any, max_answer_mb: float) -> None:
    """Let every session of a ccxt client cut off answers at a size (unpacked) and follow no redirect to another host.

    ccxt makes its sessions when it needs them; each is exchanged for a bounded one over the same connections then.
    """
    response_class = _response_of(int(max_answer_mb * MEGABYTE))
    open_session, proxy_session = client.open, client.get_socks_proxy_session
    bounded: Any = None

    def open_bounded(lazy: bool = False) -> None:
        nonlocal bounded
        open_session(lazy)
        if client.session is not bounded:
            bounded = client.session = _over_the_same_connections(client.session, client, response_class)

    def proxy_bounded(proxy: str) -> Any:
        if proxy not in (client.socks_proxy_sessions or {}):
            session = _over_the_same_connections(proxy_session(proxy), client, response_class)
            client.socks_proxy_sessions[proxy] = session
        return client.socks_proxy_sessions[proxy]

    client.open, client.get_socks_proxy_session = open_bounded, proxy_bounded


def _over_the_same_connections(
    session: aiohttp.ClientSession, client: Any, response_class: type[aiohttp.ClientResponse]
) -> aiohttp.ClientSession:
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_stay_with_the_host)
    connector = session.connector
    # Closing the old session would close the connections, which the new one takes over.
    session.detach()
    return aiohttp.ClientSession(
        connector=connector,
        trust_env=client.aiohttp_trust_env,
        response_class=response_class,
        trace_configs=[trace],
    )


def _response_of(limit: int) -> type[aiohttp.ClientResponse]:
    """A response that is read up to ``limit`` bytes; it is unpacked piece by piece, so no more is ever held."""

    class Bounded(aiohttp.ClientResponse):
        async def read(self) -> bytes:
            if self._body is None:
                self._body = await self._up_to_the_limit()
            return await super().read()

        async def _up_to_the_limit(self) -> bytes:
            pieces, size = [], 0
            try:
                async for piece in self.content.iter_any():
                    size += len(piece)
                    if size > limit:
                        raise RefusedAnswer(f"{self.url.origin()} answered with more than {limit / MEGABYTE:g} MB")
                    pieces.append(piece)
            except BaseException:
                # Also when cancelled: a connection with half an answer in it must not be used again.
                self.close()
                raise
            return b"".join(pieces)

    return Bounded


async def _stay_with_the_host(_: object, __: object, redirect: aiohttp.TraceRequestRedirectParams) -> None:
    """Raise ``RefusedAnswer`` for a redirect to another scheme, host or port."""
    response = redirect.response
    # aiohttp follows either of the two headers.
    target = response.headers.get("Location") or response.headers.get("URI") or ""
    here = response.url.origin()
    try:
        stays = response.url.join(yarl.URL(target)).origin() == here
    except ValueError:
        stays = False
    if not stays:
        response.close()
        raise RefusedAnswer(f"{here} sends on to {target[:100]!r}, and another host is not followed")
