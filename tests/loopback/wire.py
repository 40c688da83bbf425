"""What the wire formats share: routes, and cutting rows to a window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from loopback.world import Leg, World

Row = TypeVar("Row", bound=tuple[Any, ...])


@dataclass(frozen=True)
class Call:
    """One request as the exchange sees it."""

    world: World
    exchange: str
    now: int  # ms, shifted when the fault is one of time
    query: dict[str, Any]
    named: Leg | None  # the contract that it names

    @property
    def legs(self) -> list[Leg]:
        """Everything that is listed now."""
        return self.world.of(self.exchange, self.now)

    @property
    def leg(self) -> Leg:
        """The contract asked for. Raises ``RefusedError`` when there is none of that name."""
        if self.named is None:
            raise RefusedError(400, {"error": "no such contract"})
        return self.named


@dataclass(frozen=True)
class Route:
    """One address: which kind of request it is, how it is answered, and which parameter names the contract.

    A path with ``{symbol}`` carries the contract itself.
    """

    kind: str
    answer: Callable[[Call], Any]
    contract: str | None = None


class RefusedError(Exception):
    """The exchange answers with an error of its own."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.status, self.body = status, body


def between(rows: list[Row], since: Any = None, until: Any = None) -> list[Row]:
    """Rows stamped in ``[since, until]``, either end open when None; ascending as they came."""
    low = float("-inf") if since is None else float(since)
    high = float("inf") if until is None else float(until)
    return [row for row in rows if low <= row[0] <= high]


def newest_first(rows: list[Row], limit: int) -> list[Row]:
    """The newest ``limit`` rows, newest first."""
    return rows[-limit:][::-1] if limit else []
