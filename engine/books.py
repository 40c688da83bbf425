"""State of B portfolios and the records that the kernel writes about them, as plain structured arrays.

The arrays are updated in place by ``engine.kernel`` alone. They can be copied, compared and stored byte by byte.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


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


class Leg(IntEnum):
    """Sides of a position."""

    LONG = 0
    SHORT = 1


class Reason(IntEnum):
    """Why a position was closed, or why an order was refused or cancelled."""

    SIGNAL = 0
    STOP_LOSS = 1
    DATA_OUTAGE = 2
    DELISTING = 3
    END_OF_DATA = 4
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


class NoteKind(IntEnum):
    """What happened to an order besides being filled."""

    REFUSED = 0
    CANCELLED = 1


PORTFOLIO = np.dtype(
    [
        ("cash", "f8"),  # initial capital plus all ledger entries, USD
        ("equity_protected", "f8"),  # after step 3 of the hour: what sizes and the margin check use, USD
        ("equity", "f8"),  # latest mark-to-market equity, USD
        ("peak", "f8"),  # highest equity at the end of an hour so far, USD
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
        ("quantity", "f8"),  # base quantity of both legs
        ("notional", "f8"),  # N, per leg, USD
        ("long_entry", "f8"),  # fill prices, USD
        ("short_entry", "f8"),
        ("funding", "f8"),  # received so far, USD
        ("entry_fees", "f8"),  # USD, positive
        ("slippage", "f8"),  # USD, positive
    ],
    align=True,
)
GHOST = np.dtype(
    [("id", "i8"), ("pair", "i8"), ("opened", "i8"), ("closed", "i8"), ("quantity", "f8")],
    align=True,
)
"""A closed position that may still receive a settlement that becomes known late. ``id`` 0: empty."""

ORDER = np.dtype([("kind", "i8"), ("target", "i8")], align=True)

LEDGER = np.dtype(
    [
        ("hour", "i8"),
        ("position_id", "i8"),
        ("kind", "i8"),
        ("side", "i8"),
        ("leg", "i8"),
        ("booking", "i8"),  # ACTUAL, IMPUTED or REVERSAL for funding, else 0
        ("quantity", "f8"),
        ("price", "f8"),
        ("rate", "f8"),  # fee rate or funding rate; nan for price
        ("amount", "f8"),  # USD, signed from the portfolio's view
    ],
    align=True,
)
TRADE = np.dtype(
    [
        ("position_id", "i8"),
        ("pair", "i8"),
        ("opened", "i8"),
        ("closed", "i8"),
        ("reason", "i8"),
        ("quantity", "f8"),
        ("notional", "f8"),
        ("long_entry", "f8"),
        ("short_entry", "f8"),
        ("long_exit", "f8"),
        ("short_exit", "f8"),
        ("entry_fees", "f8"),
        ("exit_fees", "f8"),
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
        ("committed", "f8"),  # sum of 2N over open positions, USD
        ("open_positions", "i8"),
    ],
    align=True,
)
MAX_ORDERS = 256
"""Orders that a strategy may send in one hour."""


class Books(NamedTuple):
    """B portfolios. ``slots`` is ``[B, P]``, ``ghosts`` ``[B, G]``, the record buffers ``[B, capacity]``.

    A record buffer of capacity 0 records nothing; that is how training runs.
    """

    portfolios: NDArray[np.void]
    slots: NDArray[np.void]
    ghosts: NDArray[np.void]
    ledger: NDArray[np.void]
    trades: NDArray[np.void]
    notes: NDArray[np.void]
    hours: NDArray[np.void]


def open_books(
    portfolios: int,
    max_positions: int,
    initial_capital_usd: float,
    *,
    recording_hours: int = 0,
    max_delay_hours: int = 0,
    max_bookings: int = 1,
) -> Books:
    """Fresh books with all capital in cash.

    ``recording_hours`` is for how many hours records fit before they must be drained; ``max_delay_hours`` how long
    after its hour a settlement may be booked (closed positions are kept that long); ``max_bookings`` the most
    settlements that one leg has in an hour.
    """
    ghosts = max_positions * (max_delay_hours + 1) if max_delay_hours else 0
    entries = 16 * max_positions + 2 * max_bookings * (max_positions + ghosts)
    books = Books(
        np.zeros(portfolios, PORTFOLIO),
        np.zeros((portfolios, max_positions), SLOT),
        np.zeros((portfolios, ghosts), GHOST),
        np.zeros((portfolios, recording_hours * entries), LEDGER),
        np.zeros((portfolios, recording_hours * 4 * max_positions), TRADE),
        np.zeros((portfolios, recording_hours * (MAX_ORDERS + 2 * max_positions)), NOTE),
        np.zeros((portfolios, 2 * recording_hours), HOUR),
    )
    reset_books(books, np.arange(portfolios), initial_capital_usd)
    return books


def reset_books(books: Books, which: NDArray[np.int64], initial_capital_usd: float) -> None:
    """Put the named portfolios back to all capital in cash, no positions, no records."""
    for array in books[:3]:
        array[which] = np.zeros(1, array.dtype)
    books.slots["due"][which] = -1
    for field in ("cash", "equity_protected", "equity", "peak"):
        books.portfolios[field][which] = initial_capital_usd
    books.portfolios["next_id"][which] = 1


def seen_from(books: Books, rows: int) -> Books:
    """A copy of the state, without records, for a tape that begins ``rows`` hours later: its rows count from there."""
    state = Books(*(array.copy() for array in books[:3]), *(array[:, :0].copy() for array in books[3:]))
    state.slots["opened"] -= rows
    state.slots["due"][state.slots["due"] >= 0] -= rows
    state.ghosts["opened"] -= rows
    state.ghosts["closed"] -= rows
    return state
