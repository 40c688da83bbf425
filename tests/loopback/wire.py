"""What the wire formats share: routes, and cutting rows to a window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from loopback.world import Leg, World

Row = TypeVar("Row", bound=tuple[Any, ...])


@dataclass(frozen=True)
class Route:
    """One address: which kind of request it is, how it is answered, and which parameter names the contract.

    ``answer(world, now_ms, query)`` gives the JSON value. A path with ``{id}`` carries the contract itself.
    """

    kind: str
    answer: Callable[[World, int, dict[str, Any]], Any]
    contract: str | None = None


class NoSuchContract(Exception):
    """Asked for a contract that the exchange does not list."""


def market_id(world: World, exchange: str, wanted: str, identity: Callable[[Leg], str]) -> Leg:
    """The leg with this id on the wire."""
    for (name, _), leg in world.legs.items():
        if name == exchange and identity(leg) == wanted:
            return leg
    raise NoSuchContract(wanted)


def between(rows: list[Row], since: Any = None, until: Any = None) -> list[Row]:
    """Rows stamped in ``[since, until]``, either end open when None; ascending as they came."""
    low = float("-inf") if since is None else float(since)
    high = float("inf") if until is None else float(until)
    return [row for row in rows if low <= row[0] <= high]


def newest_first(rows: list[Row], limit: int) -> list[Row]:
    """The newest ``limit`` rows, newest first."""
    return rows[-limit:][::-1] if limit else []


class Refused(Exception):
    """The exchange answers with an error of its own."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.status, self.body = status, body
