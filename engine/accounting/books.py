"""State of B portfolios and the records that the kernel writes about them, as plain structured arrays.

"The kernel" is the compiled code of this package, entered at ``hour``; it alone updates the arrays, in place. They can
be copied, compared and stored byte by byte. These are an accountant's books and not the order books of exchanges.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Status(IntEnum):
    """What a position slot holds."""

    FREE = 0
    PENDING = 1
    OPEN = 2


class OrderKind(IntEnum):
    """NONE is ignored; ENTER targets a pair index, EXIT a slot."""

    NONE = 0
    ENTER = 1
    EXIT = 2


class Kind(IntEnum):
    """Kinds of ledger entries."""

    FEE = 0
    FUNDING = 1
    PRICE = 2
    LIQUIDATION_FEE = 3
    TRANSFER = 4
    TRANSFER_FEE = 5


class Leg(IntEnum):
    """Sides of a position; NONE stands in entries of the ledger that concern a wallet and no position."""

    NONE = -1
    LONG = 0
    SHORT = 1


class Reason(IntEnum):
    """Why a position was closed, or why an order was refused or cancelled."""

    SIGNAL = 0
    STOP_LOSS = 1
    DATA_OUTAGE = 2
    DELISTING = 3
    END_OF_DATA = 4
    LIQUIDATION = 5
    LEG_FAILURE = 6
    NO_SUCH_OPPORTUNITY = 10
    NO_FREE_SLOT = 11
    ALREADY_HELD = 12
    STALE_LEG = 13
    TOO_YOUNG = 14
    FILTERED = 15
    NO_VOLUME = 16
    BELOW_MIN_NOTIONAL = 17
    MARGIN = 18
    NO_POSITION = 19
    ALREADY_PENDING = 20
    EXCHANGE_LIMIT = 21
    SILENT_LEG = 22
    NOT_FILLED = 23
    PARTLY_FILLED = 24
    WHOLLY_FILLED = 25
    BELOW_EXCHANGE_MINIMUM = 26
    LEVERAGE_LIMIT = 27
    THIN_BOOK = 28


class NoteKind(IntEnum):
    """What happened to an order besides being filled as a taker.

    FAILED: one of its legs, which is tried or undone next hour; RESTED: one waited in the book, and what came of it.
    """

    REFUSED = 0
    CANCELLED = 1
    FAILED = 2
    RESTED = 3


# Later than every row, so that a settlement of an open leg always lies before its close.
STILL_OPEN = 2**62
"""Row at which a leg closed that has not closed."""
IN_TRANSIT = -1
"""The wallet of money that is on its way from one exchange to another."""


PORTFOLIO = np.dtype(
    [
        ("cash", "f8"),  # initial capital plus all ledger entries, USD
        ("equity_protected", "f8"),  # after step 3 of the hour: what sizes and the margin check use, USD
        ("equity", "f8"),  # latest mark-to-market equity, USD
        ("peak", "f8"),  # highest equity at the end of an hour so far, USD
        ("in_transit", "f8"),  # part of the cash that is on its way between two exchanges, USD
        ("transit_to", "i8"),  # exchange to which it goes
        ("transit_due", "i8"),  # row at which it arrives; -1: none is under way
        ("next_id", "i8"),  # id of the next position
        ("missing_settlements", "i8"),
        ("fills_at_last_trade", "i8"),
        ("stale_hours", "i8"),  # hours in which a held leg had no fresh price, counted per leg
        ("refused", "i8"),  # orders that were refused
        ("ledger_rows", "i8"),
        ("trade_rows", "i8"),
        ("note_rows", "i8"),
        ("hour_rows", "i8"),
        ("overflow", "i8"),  # 1 when a record buffer was too small
    ],
    align=True,
)
SLOT = np.dtype(
    [
        ("status", "i8"),
        ("pair", "i8"),
        ("id", "i8"),
        ("opened", "i8"),  # row of the hour that filled the entry
        (
            "due",
            "i8",
        ),  # row at which a pending entry, or a pending exit of an open position, is filled; -1: none
        ("reason", "i8"),  # why one leg was left alone and must go (LIQUIDATION, LEG_FAILURE), else SIGNAL
        ("long_closed", "i8"),  # row at which the leg left; that of the entry when it failed then; else STILL_OPEN
        ("short_closed", "i8"),
        ("quantity", "f8"),  # base quantity of both legs
        ("notional", "f8"),  # N, per leg, USD
        ("long_held", "f8"),  # base quantity that is open: all or nothing
        ("short_held", "f8"),
        ("long_entry", "f8"),  # fill prices, USD; 0 for a leg that failed to open
        ("short_entry", "f8"),
        ("long_exit", "f8"),  # of legs that have left
        ("short_exit", "f8"),
        ("funding", "f8"),  # received so far, USD
        ("entry_fees", "f8"),  # USD, positive
        ("exit_fees", "f8"),  # of legs that have left, USD, positive
        ("liquidation_fees", "f8"),  # USD, positive
        ("price_pnl", "f8"),  # realised by legs that have left, USD
        ("realised", "f8"),  # that, less the fees of their leaving, USD
        ("slippage", "f8"),  # USD, positive
    ],
    align=True,
)
AWAITING = np.dtype(
    [
        ("id", "i8"),
        ("pair", "i8"),
        ("opened", "i8"),
        ("long_closed", "i8"),
        ("short_closed", "i8"),
        ("quantity", "f8"),
    ],
    align=True,
)
"""A closed position that may still receive a settlement that becomes known late. ``id`` 0: empty."""

WALLET = np.dtype(
    [
        ("share", "f8"),  # of all equity: at the start, and the target of transfers
        ("balance", "f8"),  # USD
        ("equity", "f8"),  # balance and unrealised price P&L at the mark, after step 3 of the hour, USD
        ("held", "f8"),  # sum of quantity times mark over the legs there, after step 3, USD
    ],
    align=True,
)
"""What stands at one exchange. Books have none when the account is pooled."""

ORDER = np.dtype([("kind", "i8"), ("target", "i8")], align=True)

LEDGER = np.dtype(
    [
        ("hour", "i8"),
        ("position_id", "i8"),
        ("kind", "i8"),
        ("side", "i8"),
        ("leg", "i8"),  # -1: none
        ("exchange", "i8"),  # whose wallet it moves; IN_TRANSIT: that of money on its way
        ("booking", "i8"),  # ACTUAL, IMPUTED or REVERSAL for funding, else 0
        ("quantity", "f8"),
        ("price", "f8"),
        ("rate", "f8"),  # fee rate or funding rate; nan for price and transfers
        ("amount", "f8"),  # USD, signed from the portfolio's view
    ],
    align=True,
)
TRADE = np.dtype(
    [
        ("position_id", "i8"),
        ("pair", "i8"),
        ("opened", "i8"),
        ("closed", "i8"),  # when the last leg left
        ("long_closed", "i8"),
        ("short_closed", "i8"),
        ("reason", "i8"),
        ("quantity", "f8"),
        ("notional", "f8"),
        ("long_entry", "f8"),  # fill prices, nan for a leg that failed to open
        ("short_entry", "f8"),
        ("long_exit", "f8"),
        ("short_exit", "f8"),
        ("entry_fees", "f8"),
        ("exit_fees", "f8"),
        ("liquidation_fees", "f8"),
        ("funding", "f8"),
        ("price_pnl", "f8"),
        ("slippage", "f8"),
    ],
    align=True,
)
NOTE = np.dtype(
    [("hour", "i8"), ("kind", "i8"), ("reason", "i8"), ("order", "i8"), ("target", "i8")],
    align=True,
)


HOUR = np.dtype(
    [
        ("hour", "i8"),
        ("equity", "f8"),
        ("cash", "f8"),
        ("committed", "f8"),  # sum of N over open legs, USD
        ("open_positions", "i8"),
    ],
    align=True,
)
MAX_ORDERS = 256
"""Orders that a strategy may send in one hour."""
TRANSFER_ENTRIES = 5
"""Most entries of the ledger that transfers make in an hour: two of an arrival, three of a departure."""
NO_WALLETS: Floats = np.zeros(0)


class Books(NamedTuple):
    """B portfolios. ``slots`` is ``[B, P]``, ``awaiting_settlement`` ``[B, A]``, ``wallets`` ``[B, exchanges]``
    (none when the account is pooled), the record buffers ``[B, capacity]``.

    A record buffer of capacity 0 records nothing; that is how training runs.
    """

    portfolios: NDArray[np.void]
    slots: NDArray[np.void]
    awaiting_settlement: NDArray[np.void]
    wallets: NDArray[np.void]
    ledger: NDArray[np.void]
    trades: NDArray[np.void]
    notes: NDArray[np.void]
    hours: NDArray[np.void]

    @property
    def state(self) -> tuple[NDArray[np.void], ...]:
        """The arrays that continuing needs; the others are records."""
        return self[:STATE_ARRAYS]


STATE_ARRAYS = 4


def open_books(
    portfolios: int,
    max_positions: int,
    initial_capital_usd: float,
    *,
    wallet_shares: Floats = NO_WALLETS,
    recording_hours: int = 0,
    max_delay_hours: int = 0,
    max_bookings: int = 1,
) -> Books:
    """Fresh books with all capital in cash, spread over the wallets by ``wallet_shares`` ``[exchanges]``, if any.

    ``recording_hours`` is for how many hours records fit before they must be drained; ``max_delay_hours`` how long
    after its hour a settlement may be booked (closed positions are kept that long); ``max_bookings`` the most
    settlements that one leg has in an hour.
    """
    # A slot closes at most one position an hour, and each of them is kept until the latest booking has come.
    awaiting = max_positions * (max_delay_hours + 1) if max_delay_hours else 0
    # Twice what an hour can bring to a slot: it may close (three entries a leg) and open again (a fee a leg, two where
    # a part rested and a part was taken).
    entries = 20 * max_positions + 2 * max_bookings * (max_positions + awaiting) + TRANSFER_ENTRIES
    books = Books(
        np.zeros(portfolios, PORTFOLIO),
        np.zeros((portfolios, max_positions), SLOT),
        np.zeros((portfolios, awaiting), AWAITING),
        np.zeros((portfolios, len(wallet_shares)), WALLET),
        np.zeros((portfolios, recording_hours * entries), LEDGER),
        np.zeros((portfolios, recording_hours * 4 * max_positions), TRADE),
        np.zeros((portfolios, recording_hours * (MAX_ORDERS + 4 * max_positions)), NOTE),
        np.zeros((portfolios, 2 * recording_hours), HOUR),
    )
    books.slots["due"], books.portfolios["transit_due"] = -1, -1
    for field in ("cash", "equity_protected", "equity", "peak"):
        books.portfolios[field] = initial_capital_usd
    books.wallets["share"] = wallet_shares
    for field in ("balance", "equity"):
        books.wallets[field] = initial_capital_usd * wallet_shares
    # 0 is no position: it stands in empty places and in the ledger entries of wallets.
    books.portfolios["next_id"] = 1
    return books


def seen_from(books: Books, rows: int) -> Books:
    """A copy of the state, without records, for a tape that begins ``rows`` hours later: its rows count from there."""
    state = Books(*(array.copy() for array in books.state), *(array[:, :0].copy() for array in books[STATE_ARRAYS:]))
    slots, awaiting, portfolios = state.slots, state.awaiting_settlement, state.portfolios
    # A position that awaits a settlement has no open leg: all its rows are rows.
    for rows_of in (slots["opened"], *(awaiting[name] for name in ("opened", "long_closed", "short_closed"))):
        rows_of -= rows
    # -1 and STILL_OPEN say that there is no row; moved, they would become one.
    for rows_of in (slots["due"], portfolios["transit_due"]):
        rows_of[rows_of >= 0] -= rows
    for rows_of in (slots["long_closed"], slots["short_closed"]):
        rows_of[rows_of != STILL_OPEN] -= rows
    return state
