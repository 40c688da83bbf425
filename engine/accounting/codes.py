"""The codes of states, orders, ledger entries and reasons as plain integers, which is how compiled code sees them.

What each one means stands at its enumeration in ``engine.accounting.books``.
"""

from __future__ import annotations

from engine.accounting.books import Kind, Leg, NoteKind, OrderKind, Reason, Status

FREE, PENDING, OPEN = int(Status.FREE), int(Status.PENDING), int(Status.OPEN)
NO_ORDER, ENTER, EXIT = int(OrderKind.NONE), int(OrderKind.ENTER), int(OrderKind.EXIT)
FEE, FUNDING, PRICE = int(Kind.FEE), int(Kind.FUNDING), int(Kind.PRICE)
LIQUIDATION_FEE, TRANSFER, TRANSFER_FEE = int(Kind.LIQUIDATION_FEE), int(Kind.TRANSFER), int(Kind.TRANSFER_FEE)
LONG, SHORT, NO_SIDE = int(Leg.LONG), int(Leg.SHORT), int(Leg.NONE)
REFUSED, CANCELLED = int(NoteKind.REFUSED), int(NoteKind.CANCELLED)
FAILED, RESTED = int(NoteKind.FAILED), int(NoteKind.RESTED)

# Why a position leaves.
SIGNAL, STOP_LOSS, DATA_OUTAGE = int(Reason.SIGNAL), int(Reason.STOP_LOSS), int(Reason.DATA_OUTAGE)
DELISTING, END_OF_DATA = int(Reason.DELISTING), int(Reason.END_OF_DATA)
LIQUIDATION, LEG_FAILURE = int(Reason.LIQUIDATION), int(Reason.LEG_FAILURE)

# Why an order is refused or cancelled; DELISTING, END_OF_DATA and LEG_FAILURE are such reasons too.
NO_SUCH_OPPORTUNITY, NO_FREE_SLOT = int(Reason.NO_SUCH_OPPORTUNITY), int(Reason.NO_FREE_SLOT)
ALREADY_HELD, STALE_LEG, TOO_YOUNG = int(Reason.ALREADY_HELD), int(Reason.STALE_LEG), int(Reason.TOO_YOUNG)
SILENT_LEG = int(Reason.SILENT_LEG)
BY_FILTER, NO_VOLUME = int(Reason.FILTERED), int(Reason.NO_VOLUME)
BELOW_MIN_NOTIONAL, MARGIN = int(Reason.BELOW_MIN_NOTIONAL), int(Reason.MARGIN)
EXCHANGE_LIMIT = int(Reason.EXCHANGE_LIMIT)
BELOW_EXCHANGE_MINIMUM, LEVERAGE_LIMIT = int(Reason.BELOW_EXCHANGE_MINIMUM), int(Reason.LEVERAGE_LIMIT)
THIN_BOOK = int(Reason.THIN_BOOK)
NOT_FILLED, PARTLY_FILLED = int(Reason.NOT_FILLED), int(Reason.PARTLY_FILLED)
WHOLLY_FILLED = int(Reason.WHOLLY_FILLED)
NO_POSITION, ALREADY_PENDING = int(Reason.NO_POSITION), int(Reason.ALREADY_PENDING)
