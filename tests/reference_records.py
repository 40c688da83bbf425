"""Orders, ledger rows, trades and positions of the slow second implementation (see ``reference_engine``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from reference_legs import LegHistory


@dataclass(frozen=True)
class Enter:
    """Order: open a position on a directed pair."""

    symbol: str
    long_exchange: str
    short_exchange: str


@dataclass(frozen=True)
class Exit:
    """Order: close what the slot holds."""

    slot: int


@dataclass(frozen=True)
class LedgerRow:
    """One movement of cash, signed from the portfolio's view; ``hour`` is the row at which it is booked."""

    hour: int
    position_id: int
    kind: str  # fee, funding, price
    leg: str  # long, short
    exchange: str
    symbol: str
    quantity: Fraction
    price: Fraction  # of the fill; the mark for funding
    rate: Fraction | None  # fee rate charged, or funding rate; None for price
    amount: Fraction
    imputed: bool = False  # an imputed settlement or its reversal


@dataclass(frozen=True)
class Trade:
    """One closed position: the columns of trades.csv."""

    position_id: int
    symbol: str
    long_exchange: str
    short_exchange: str
    entry_time: datetime
    exit_time: datetime
    duration_hours: int
    quantity: Fraction
    position_size_usd: Fraction
    entry_long_price: Fraction
    entry_short_price: Fraction
    exit_long_price: Fraction
    exit_short_price: Fraction
    entry_fees_usd: Fraction
    exit_fees_usd: Fraction
    funding_usd: Fraction
    price_pnl_usd: Fraction
    slippage_usd: Fraction
    pnl_usd: Fraction
    pnl_pct: Fraction
    exit_reason: str


@dataclass(frozen=True)
class ReferenceResult:
    """What a run leaves behind. Hourly lists start at the row ``first``; trades in the order of closing."""

    ledger: list[LedgerRow]
    equity: list[Fraction]
    cash: list[Fraction]
    unrealised: list[Fraction]
    open_positions: list[int]
    trades: list[Trade]
    refused: list[tuple[int, str]]  # entries and exits refused, pending orders cancelled: (row, reason)
    missing_settlements: int
    fills_at_last_trade: int
    max_drawdown_pct: Fraction


@dataclass
class Leg:
    """One side of a position; ``sign`` is +1 for long and -1 for short."""

    side: str
    sign: int
    history: LegHistory
    entry_price: Fraction = Fraction(0)
    exit_price: Fraction = Fraction(0)

    def price(self, t: int) -> Fraction:
        """The carried price; a position never exists on a leg that has shown none."""
        price = self.history.price[t]
        assert price is not None
        return Fraction(price)


@dataclass
class Position:
    position_id: int
    opened: int
    notional: Fraction
    quantity: Fraction
    legs: tuple[Leg, Leg]
    closed: int | None = None
    exit_reason: str = ""
    exit_due: int | None = None
    entry_fees: Fraction = Fraction(0)
    exit_fees: Fraction = Fraction(0)
    funding: Fraction = Fraction(0)
    price_pnl: Fraction = Fraction(0)
    slippage: Fraction = Fraction(0)

    def pair(self) -> Enter:
        long_leg, short_leg = self.legs
        return Enter(long_leg.history.symbol, long_leg.history.exchange, short_leg.history.exchange)

    def unrealised(self, t: int) -> Fraction:
        return sum((leg.sign * self.quantity * (leg.price(t) - leg.entry_price) for leg in self.legs), Fraction(0))

    def held_over(self, settle_hour: int) -> bool:
        """Opened strictly before the settlement and not closed before it."""
        return self.opened < settle_hour and (self.closed is None or self.closed >= settle_hour)


@dataclass
class PendingEntry:
    due: int
    order: Enter


@dataclass
class Slots:
    """What each slot holds: nothing, a position, or an entry that waits for its fill."""

    held: list[Position | PendingEntry | None]

    def positions(self) -> list[tuple[int, Position]]:
        return [(i, held) for i, held in enumerate(self.held) if isinstance(held, Position)]

    def pending_entries(self) -> list[tuple[int, PendingEntry]]:
        return [(i, held) for i, held in enumerate(self.held) if isinstance(held, PendingEntry)]

    def position(self, slot: int) -> Position | None:
        held = self.held[slot] if 0 <= slot < len(self.held) else None
        return held if isinstance(held, Position) else None

    def holds(self, order: Enter) -> bool:
        """Whether the pair or its mirror is held or pending."""
        mirror = Enter(order.symbol, order.short_exchange, order.long_exchange)
        taken = [p.pair() for _, p in self.positions()] + [e.order for _, e in self.pending_entries()]
        return order in taken or mirror in taken


@dataclass
class Book:
    """Everything that is only ever appended to."""

    ledger: list[LedgerRow] = field(default_factory=list)
    equity: list[Fraction] = field(default_factory=list)
    cash: list[Fraction] = field(default_factory=list)
    unrealised: list[Fraction] = field(default_factory=list)
    open_positions: list[int] = field(default_factory=list)
    closed: list[Position] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    missing_settlements: int = 0
    fills_at_last_trade: int = 0
