"""Step 3: what must leave without being asked. Stop-loss, outages, notices; with wallets, liquidation and transfers.

With ``account: by_exchange``, in this order (``engine.accounting.margin`` says what wallets are worth):

1. Liquidation, exchange by exchange, since an exchange acts by itself and before anyone else: while a wallet is below
   its maintenance margin, its leg with the largest loss is closed at once, filled as protective exits are, with the
   liquidation fee on top. A loss beyond the wallet is charged in full and the wallet goes below zero: whether an
   insurance fund would have paid is not known, and a gift would reward the positions that need it. The other leg stays
   open alone, is marked, settled, margined and may be liquidated too.
2. Protective exits, slot by slot. A leg that was left alone by a liquidation or by a failed entry leaves in the hour
   after (it is known only then); while its price is stale it waits, until the outage rule takes it.
3. A transfer that is due arrives; then, when none is under way, one may leave (``margin.plan_transfer``). It
   arrives ``transfer_hours`` later, after the liquidations of that hour.
"""

from __future__ import annotations

import numpy as np

from engine.accounting.booking import Movement, book
from engine.accounting.books import IN_TRANSIT, Books
from engine.accounting.codes import (
    DATA_OUTAGE,
    DELISTING,
    LIQUIDATION,
    LONG,
    NO_SIDE,
    OPEN,
    SHORT,
    SIGNAL,
    STOP_LOSS,
    TRANSFER,
    TRANSFER_FEE,
)
from engine.accounting.exits import close_position, leave
from engine.accounting.margin import NOWHERE, must_liquidate, plan_transfer, value_wallets, weakest_leg
from engine.accounting.marking import position_pnl, stale_hours
from engine.accounting.tape import LEAVES_BY_NOTICE, SILENT, TapeArrays
from engine.compiled import hourly, seldom


@hourly
def _flags_held(tape: TapeArrays, books: Books, b: int, s: int, t: int) -> int:
    """Flags of the open legs in slot s."""
    slot = books.slots[b, s]
    pair = tape.pairs[slot.pair]
    long_flags = tape.quotes[pair.long, t].flags if slot.long_held > 0 else 0
    short_flags = tape.quotes[pair.short, t].flags if slot.short_held > 0 else 0
    return int(long_flags | short_flags)


@hourly
def _protective_reason(tape: TapeArrays, books: Books, b: int, t: int, s: int) -> int:
    """Why an open position must leave now, or SIGNAL (0) when it need not."""
    slot, rules = books.slots[b, s], tape.rules[0]
    # In every hour, not only where something settles. Without a stop-loss the limit is nan, and nothing is below it.
    if 100.0 * position_pnl(tape, books, b, s, t) / (2.0 * slot.notional) <= rules.stop_loss_pct:
        return STOP_LOSS
    pair = tape.pairs[slot.pair]
    long_quote, short_quote = tape.quotes[pair.long, t], tape.quotes[pair.short, t]
    # Both legs are looked at together first. In nearly every hour both are fresh and without flags, and then it need
    # not be found out which of them are open; a leg that has left is no reason to leave.
    is_stale = long_quote.stale > 0 or short_quote.stale > 0
    if is_stale and stale_hours(tape, books, b, s, t) > rules.max_stale:
        return DATA_OUTAGE
    if long_quote.flags | short_quote.flags == 0:
        return SIGNAL
    flags = _flags_held(tape, books, b, s, t)
    # Before the notice: as an outage it pays the outage's slippage, as a delisting it would not.
    if flags & SILENT > 0:
        return DATA_OUTAGE
    return DELISTING if flags & LEAVES_BY_NOTICE > 0 else SIGNAL


@seldom
def _unwind(tape: TapeArrays, books: Books, b: int, t: int, s: int) -> None:
    """Close a leg that was left alone in an hour before, as soon as its price is fresh or dead, or its funding is."""
    slot = books.slots[b, s]
    stale = stale_hours(tape, books, b, s, t)
    if slot.due > t:
        return
    if stale > tape.rules[0].max_stale or _flags_held(tape, books, b, s, t) & SILENT > 0:
        close_position(tape, books, b, t, s, DATA_OUTAGE)
    elif stale > 0:
        slot.due = t + 1
    else:
        close_position(tape, books, b, t, s, SIGNAL)


@hourly
def protect(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    """Close positions that must leave at t, and legs that were left alone; count the hours of stale prices."""
    for s in range(books.slots.shape[1]):
        slot = books.slots[b, s]
        if slot.status == OPEN:
            pair = tape.pairs[slot.pair]
            for leg, held in ((pair.long, slot.long_held), (pair.short, slot.short_held)):
                if tape.quotes[leg, t].stale > 0 and held > 0:
                    books.portfolios[b].stale_hours += 1
            # A leg that was left alone must go in any case: a stop-loss would only give it another name.
            if slot.reason != SIGNAL:
                _unwind(tape, books, b, t, s)
                continue
            reason = _protective_reason(tape, books, b, t, s)
            if reason != SIGNAL:
                close_position(tape, books, b, t, s, reason)


@seldom
def liquidate(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    """Close legs of wallets that are below their maintenance margin, until none is."""
    value_wallets(tape, books, b, t)
    for e in range(books.wallets.shape[1]):
        while must_liquidate(tape, books, b, e):
            s, side = weakest_leg(tape, books, b, t, e)
            books.slots[b, s].reason, books.slots[b, s].due = LIQUIDATION, t + 1
            # One leg, then look again: when it is gone the wallet may hold, and the others are spared.
            leave(tape, books, b, t, s, LIQUIDATION, side == LONG, side == SHORT)
            value_wallets(tape, books, b, t)


@hourly
def _of_wallet(kind: int, exchange: int, amount: float) -> Movement:
    """A movement that belongs to no position."""
    return Movement(0, kind, NO_SIDE, -1, exchange, 0, 0.0, np.nan, np.nan, amount)


@seldom
def _send(books: Books, b: int, t: int, sender: int, receiver: int, amount: float) -> None:
    """The two entries that take an amount out of one wallet and put it into another."""
    book(books, b, t, _of_wallet(TRANSFER, sender, -amount))
    book(books, b, t, _of_wallet(TRANSFER, receiver, amount))


@seldom
def transfer(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    """Credit the transfer that is due, then begin one when none is under way; wallets are valued afterwards."""
    portfolio, rules = books.portfolios[b], tape.rules[0]
    if portfolio.transit_due >= 0 and t >= portfolio.transit_due:
        _send(books, b, t, IN_TRANSIT, portfolio.transit_to, portfolio.in_transit)
        portfolio.transit_due = -1
    value_wallets(tape, books, b, t)
    # One at a time: a second one would be planned on wallets that do not show the money under way.
    if portfolio.transit_due < 0:
        sender, receiver, amount = plan_transfer(tape, books, b)
        if sender != NOWHERE:
            _send(books, b, t, sender, IN_TRANSIT, amount)
            cost = rules.transfer_cost
            book(books, b, t, _of_wallet(TRANSFER_FEE, sender, -cost))
            portfolio.transit_to, portfolio.transit_due = receiver, t + rules.transfer_hours
            value_wallets(tape, books, b, t)
