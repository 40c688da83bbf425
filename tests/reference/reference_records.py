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
    kind: str  # fee, funding, price, liquidation_fee, transfer, transfer_fee
    leg: str  # long, short; none for transfers
    exchange: str
    symbol: str
    quantity: Fraction
    price: Fraction | None  # of the fill; the mark for funding; None for transfers
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
    exit_rows: tuple[int, int]  # of long and short leg
    duration_hours: int
    quantity: Fraction
    position_size_usd: Fraction
    entry_long_price: Fraction | None  # None: the leg failed to open
    entry_short_price: Fraction | None
    exit_long_price: Fraction | None
    exit_short_price: Fraction | None
    entry_fees_usd: Fraction
    exit_fees_usd: Fraction
    liquidation_fees_usd: Fraction
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
    wallets: list[dict[str, Fraction]] = field(default_factory=list)  # at the end of each hour, money on its way too


@dataclass
class Leg:
    """One side of a position; ``sign`` is +1 for long and -1 for short."""

    side: str
    sign: int
    history: LegHistory
    entry_price: Fraction | None = None  # None: not opened
    exit_price: Fraction | None = None
    closed: int | None = None

    @property
    def is_open(self) -> bool:
        return self.entry_price is not None and self.closed is None

    def gain(self, price: Fraction) -> Fraction:
        """Per unit, from the entry to a price."""
        assert self.entry_price is not None
        return self.sign * (price - self.entry_price)

    def held_over(self, settle_hour: int) -> bool:
        """Not closed before the settlement."""
        return self.entry_price is not None and (self.closed is None or self.closed >= settle_hour)

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
    exit_due: int | None = None  # an order of the strategy, or the next attempt at one of which a leg failed
    alone_because: str | None = None  # why one leg is left that must go by itself
    unwind_from: int = 0  # the first hour in which it may go
    entry_fees: Fraction = Fraction(0)
    exit_fees: Fraction = Fraction(0)
    liquidation_fees: Fraction = Fraction(0)
    funding: Fraction = Fraction(0)
    price_pnl: Fraction = Fraction(0)
    slippage: Fraction = Fraction(0)

    def pair(self) -> Enter:
        long_leg, short_leg = self.legs
        return Enter(long_leg.history.symbol, long_leg.history.exchange, short_leg.history.exchange)

    @property
    def open_legs(self) -> list[Leg]:
        return [leg for leg in self.legs if leg.is_open]

    def unrealised(self, t: int) -> Fraction:
        return sum((self.quantity * leg.gain(leg.price(t)) for leg in self.open_legs), Fraction(0))

    def leaving(self) -> bool:
        return self.exit_due is not None or self.alone_because is not None


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
    wallets: list[dict[str, Fraction]] = field(default_factory=list)
