"""Requests that are repeated when that may help, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import ccxt.async_support as ccxt
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_exponential

from adapters.exchanges.settings import CollectionSettings

Answer = TypeVar("Answer")

LONGEST_WAIT_SECONDS = 30.0
LONGEST_MESSAGE = 300
# What ccxt raises from its own inside when an answer has another shape than it expects.
PARSING_FAILED = (AttributeError, TypeError, KeyError, IndexError, ValueError)


class BrokenAnswer(ccxt.NetworkError):  # type: ignore[misc]  # ccxt ships no types
    """An answer with status 200 that is no JSON, or that is empty where there must be rows. Worth a repetition."""


@dataclass
class Caller:
    """Repeats requests to one exchange and keeps count: ``retries`` and every failed attempt by kind of error.

    ``on_answer`` is called after every answer that is none of an error.
    """

    settings: CollectionSettings
    retries: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    on_answer: Callable[[], None] = lambda: None

    async def __call__(self, request: Callable[..., Awaitable[Answer]], *args: Any, **kwargs: Any) -> Answer:
        """The answer. Raises what the last attempt raised, at once when a repetition could not help."""

        async def attempt() -> Answer:
            try:
                answer = await request(*args, **kwargs)
            except PARSING_FAILED as error:
                self.errors[BrokenAnswer.__name__] += 1
                raise BrokenAnswer(f"an answer that ccxt cannot read ({type(error).__name__}: {error})") from error
            except ccxt.BaseError as error:
                self.errors[type(error).__name__] += 1
                raise
            self.on_answer()
            return answer

        retrying = AsyncRetrying(
            stop=stop_after_attempt(self.settings.attempts),
            wait=wait_exponential(multiplier=self.settings.retry_wait_seconds, max=LONGEST_WAIT_SECONDS),
            retry=retry_if_exception(may_pass),
            before_sleep=self._count,
            reraise=True,
        )
        return await retrying(attempt)

    async def bulk(self, request: Callable[..., Awaitable[Answer]], *args: Any, **kwargs: Any) -> Answer:
        """Like a plain call; an empty answer is a failure, for ccxt returns one where an exchange answers nonsense."""

        async def not_empty() -> Answer:
            answer = await request(*args, **kwargs)
            if not answer:
                raise BrokenAnswer(f"{getattr(request, '__name__', 'the request')} came back empty")
            return answer

        return await self(not_empty)

    def _count(self, _: RetryCallState) -> None:
        self.retries += 1


def may_pass(error: BaseException) -> bool:
    """Whether a repetition may help: network errors, and an ExchangeError of no particular kind.

    The latter is what async ccxt makes of a connection cut inside the body, and of a message that it does not know.
    """
    return isinstance(error, ccxt.NetworkError) or type(error) is ccxt.ExchangeError


def in_one_line(error: BaseException) -> str:
    """Kind and message of an error, short enough for a log line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:LONGEST_MESSAGE]}" if text else type(error).__name__
