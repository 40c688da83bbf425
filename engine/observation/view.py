"""What a strategy gets to see at an hour, and the orders it may answer with.

A view holds the facts of one hour only. It is valid until the strategy has answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from engine.accounting.books import OrderKind, Status
from engine.accounting.entries import is_held
from engine.accounting.loop import HourlyLoop
from engine.accounting.margin import liquidation_distance
from engine.accounting.marking import position_pnl
from engine.errors import UserError, did_you_mean, shown
from engine.market.data import Floats, Ints
from engine.observation.actions import action_count, action_mask
from engine.observation.encoding import Encoding, Float32s, ObservationSpec, encode, rank_hour
from engine.observation.features import COLUMN, ON_REQUEST
from engine.observation.opportunities import OpportunityBuilder
from engine.windows import time_of


@dataclass(frozen=True, slots=True)
class Enter:
    """Open a position in a pair (an index into ``View.pairs``)."""

    pair: int


@dataclass(frozen=True, slots=True)
class Exit:
    """Close the position in a slot."""

    slot: int


Order = Enter | Exit


class Strategy(Protocol):
    """What arb needs of a strategy: an answer to each hour. Answers are orders: none, one or several."""

    def decide(self, view: View) -> Sequence[Order]:
        """Orders for this hour."""


@dataclass(frozen=True, slots=True)
class Position:
    """An open position as the strategy sees it; money in USD, percentages of 2N.

    ``liquidation_distance``: the smallest fraction by which a price may move against a leg until it is liquidated, 0
    to 1; 1 when the account is pooled. ``legs``: 1 when one leg was left alone; it leaves by itself.
    """

    slot: int
    pair: int
    symbol: str
    long_exchange: str
    short_exchange: str
    hours_held: int
    notional_usd: float
    funding_usd: float
    pnl_usd: float
    pnl_pct: float
    leaving: bool
    liquidation_distance: float = 1.0
    legs: int = 2


class View:
    """One hour as portfolio ``b`` of a loop sees it: opportunities, positions and money, nothing later."""

    def __init__(self, loop: HourlyLoop, builder: OpportunityBuilder, b: int = 0) -> None:
        self._loop, self._builder, self._b = loop, builder, b
        self._row = int(loop.rows[b])

    @property
    def time(self) -> datetime:
        """The hour, aware UTC."""
        return time_of(int(self._loop.tape.market.hours[self._row]))

    @property
    def hour(self) -> int:
        """The hour, counted since 1970."""
        return int(self._loop.tape.market.hours[self._row])

    @property
    def equity_usd(self) -> float:
        """Mark-to-market equity after settlements and protective exits of this hour."""
        return float(self._loop.books.portfolios["equity"][self._b])

    @property
    def cash_usd(self) -> float:
        return float(self._loop.books.portfolios["cash"][self._b])

    @property
    def max_positions(self) -> int:
        return int(self._loop.books.slots.shape[1])

    @property
    def free_slots(self) -> int:
        """Slots that neither hold a position nor wait for a pending entry."""
        return int(np.count_nonzero(self._loop.books.slots["status"][self._b] == int(Status.FREE)))

    @property
    def fills_at_once(self) -> bool:
        """Whether an exit that is ordered now frees its slot for an entry that is ordered now; with late fills and
        with orders that rest it does so an hour or more later."""
        rules: Any = self._loop.tape.arrays.rules[0]
        return bool(rules["latency"] == 0 and rules["resting"] == 0)

    @property
    def slippage(self) -> float:
        """Fixed slippage per fill in force, fraction of price."""
        rules: Any = self._loop.tape.arrays.rules[0]
        return float(rules["slippage"] * rules["cost_multiple"])

    @property
    def assumed_half_spread(self) -> Floats:
        """Of the wider leg of every pair ``[pairs]`` what the spread model charges a fill on top of slippage where no
        spread is quoted, fraction of price; 0 where one is quoted, and with ``spread_model: fixed``."""
        tape, row = self._loop.tape, self._row
        if tape.settings.spread_model == "fixed":
            return np.zeros(self.pairs)
        charged = np.where(np.isnan(tape.market.bid_ask_spread[:, row]), tape.arrays.quotes["half_spread"][:, row], 0.0)
        by_leg: Floats = charged * float(tape.arrays.rules["cost_multiple"][0])
        return np.maximum(by_leg[tape.pairs.long_leg], by_leg[tape.pairs.short_leg])

    @cached_property
    def _hour(self) -> tuple[Floats, Any]:
        return self._builder.at(self._row)

    @cached_property
    def _on_request(self) -> dict[str, Floats]:
        return dict(zip(ON_REQUEST, self._builder.on_request(self._row).T, strict=True))

    def feature(self, name: str) -> Floats:
        """One feature of every pair, nan where unknown; ``engine.observation.features`` lists them: ``FEATURES`` and
        ``ON_REQUEST``.

        Raises ``UserError`` with the nearest name for a feature that does not exist.
        """
        try:
            return self._on_request[name] if name in ON_REQUEST else self._hour[0][:, COLUMN[name]]
        except (KeyError, TypeError):
            known = [*COLUMN, *ON_REQUEST]
            raise UserError(f"unknown feature {shown(name)}; {did_you_mean(name, known)}") from None

    @cached_property
    def offered(self) -> Any:
        """Which pairs may be entered now ``[pairs]`` bool: fresh, old enough, not held, nor their mirror."""
        # A copy: ``observe`` ranks the hour's own table, in which held pairs still stand.
        offered = self._hour[1].copy()
        slots = self._loop.books.slots[self._b]
        for slot in slots[slots["status"] != int(Status.FREE)]:
            offered[slot["pair"]] = False
            offered[self._builder.tape.pairs.mirror[slot["pair"]]] = False
        return offered

    @cached_property
    def positions(self) -> tuple[Position, ...]:
        """Open positions by slot."""
        slots = self._loop.books.slots[self._b]
        return tuple(self._position(s) for s in range(len(slots)) if slots["status"][s] == int(Status.OPEN))

    def _position(self, s: int) -> Position:
        slot: Any = self._loop.books.slots[self._b, s]
        arrays, books = self._loop.tape.arrays, self._loop.books
        pnl = position_pnl(arrays, books, self._b, s, self._row)
        return Position(
            s, int(slot["pair"]), *self.pair_name(int(slot["pair"])), self._row - int(slot["opened"]),
            float(slot["notional"]), float(slot["funding"]), float(pnl), float(100 * pnl / (2 * slot["notional"])),
            bool(slot["due"] >= 0), float(liquidation_distance(arrays, books, self._b, s, self._row)),
            int(slot["long_held"] > 0) + int(slot["short_held"] > 0),
        )  # fmt: skip

    @property
    def pairs(self) -> int:
        """Number of directed pairs; an index below it names a pair."""
        return len(self._builder.tape.pairs)

    def pair_name(self, pair: int) -> tuple[str, str, str]:
        """(symbol, long exchange, short exchange) of a pair."""
        return self._builder.tape.pair_name(pair)

    @property
    def pending(self) -> Mapping[int, int]:
        """Pairs of the entries that wait for their fill, by slot."""
        slots = self._loop.books.slots[self._b]
        return {s: int(slot["pair"]) for s, slot in enumerate(slots) if slot["status"] == int(Status.PENDING)}

    def possible(self, visible: Ints) -> Any:
        """Which actions on the pairs that an observation showed would not be refused for want of an opportunity, slot
        or position ``[actions]`` bool."""
        found = np.zeros(action_count(len(visible), self.max_positions), bool)
        action_mask(self._loop.books, self._b, visible, found)
        return found

    def is_held(self, pair: int) -> bool:
        """Whether the pair or its mirror is held or pending."""
        return bool(is_held(self._loop.tape.arrays, self._loop.books, self._b, pair))

    def observe(self, encoding: Encoding, spec: ObservationSpec) -> tuple[Float32s, Ints]:
        """The policy's observation ``[spec.size]`` and the pairs shown in it ``[O]`` (-1: empty slot).

        Raises ``UserError`` when the run has another number of positions than the spec, and ``DataError`` for a value
        that no market has.
        """
        if spec.positions != self.max_positions:
            raise UserError(
                f"the observation has {spec.positions} positions and max_positions is {self.max_positions}; "
                f"make them equal, for example with --set max_positions={spec.positions}"
            )
        ranked = encoding.blank(self._builder, 1)
        rank_hour(encoding, self._builder, self._row, self._hour, ranked, 0)
        observation, visible = np.empty(spec.size, np.float32), np.empty(spec.opportunities, np.int64)
        encode(self._loop.tape.arrays, self._loop.books, self._b, self._row, 0, ranked, visible, observation)
        return observation, visible


def order_tuple(order: Order) -> tuple[int, int]:
    """(kind, target) of an order for the kernel."""
    if isinstance(order, Enter):
        return int(OrderKind.ENTER), int(order.pair)
    return int(OrderKind.EXIT), int(order.slot)
