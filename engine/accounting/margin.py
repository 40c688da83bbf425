"""Margin by exchange: what wallets are worth, which leg must go, what an entry needs, where money should be sent.

Nothing here moves cash: ``protection`` and ``entries`` ask this module, and ``booking`` moves it. A wallet is cross
margin: its equity is its balance and the unrealised price P&L of its legs at the mark (the mark price, else the last
known price). A leg posts N / leverage. Only the part of an equity that is neither posted nor unrealised can be sent
away. Money on its way belongs to the portfolio but to no wallet.
"""

from __future__ import annotations

import numpy as np

from engine.accounting.books import Books
from engine.accounting.codes import EXCHANGE_LIMIT, LONG, MARGIN, OPEN, SHORT
from engine.accounting.marking import committed_notional
from engine.accounting.tape import TapeArrays
from engine.compiled import hourly, seldom

ROUNDING = 1e-9
"""Relative slack of margin checks, so that full use of capital in equal parts is not refused by a last bit."""
FILLABLE = -1
"""No reason against an entry."""
NOWHERE = -1


@hourly
def leg_pnl(tape: TapeArrays, books: Books, b: int, s: int, t: int, side: int) -> float:
    """Unrealised price P&L in USD at the mark of one leg of the position in slot s; 0 when it is not open."""
    slot = books.slots[b, s]
    pair = tape.pairs[slot.pair]
    # At the mark, as exchanges reckon margin: on last trades a single odd print would liquidate.
    if side == LONG:
        return float(slot.long_held * (tape.quotes[pair.long, t].mark - slot.long_entry))
    return float(slot.short_held * (slot.short_entry - tape.quotes[pair.short, t].mark))


@seldom
def value_wallets(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    """Set equity and notional of every wallet to what they are at row t."""
    for e in range(books.wallets.shape[1]):
        books.wallets[b, e].equity, books.wallets[b, e].held = books.wallets[b, e].balance, 0.0
    for s in range(books.slots.shape[1]):
        slot = books.slots[b, s]
        if slot.status == OPEN:
            pair = tape.pairs[slot.pair]
            for side, leg, held in ((LONG, pair.long, slot.long_held), (SHORT, pair.short, slot.short_held)):
                wallet = books.wallets[b, tape.legs[leg].exchange]
                wallet.equity += leg_pnl(tape, books, b, s, t, side)
                wallet.held += held * tape.quotes[leg, t].mark


@seldom
def must_liquidate(tape: TapeArrays, books: Books, b: int, e: int) -> bool:
    """Whether the wallet at exchange e is below its maintenance margin."""
    wallet = books.wallets[b, e]
    return bool(wallet.held > 0 and wallet.equity < tape.rules[0].maintenance * wallet.held)


@seldom
def weakest_leg(tape: TapeArrays, books: Books, b: int, t: int, e: int) -> tuple[int, int]:
    """Slot and side of the leg at exchange e that loses most; of equal ones that of the first slot, long first."""
    weakest, weakest_side, least = NOWHERE, LONG, np.inf
    for s in range(books.slots.shape[1]):
        slot = books.slots[b, s]
        if slot.status == OPEN:
            pair = tape.pairs[slot.pair]
            for side, leg, held in ((LONG, pair.long, slot.long_held), (SHORT, pair.short, slot.short_held)):
                pnl = leg_pnl(tape, books, b, s, t, side)
                if held > 0 and tape.legs[leg].exchange == e and pnl < least:
                    weakest, weakest_side, least = s, side, pnl
    return weakest, weakest_side


@seldom
def posted_margin(tape: TapeArrays, books: Books, b: int, e: int) -> float:
    """Sum of N / leverage over the legs that are open at exchange e, USD."""
    posted = 0.0
    for s in range(books.slots.shape[1]):
        slot = books.slots[b, s]
        if slot.status == OPEN:
            pair = tape.pairs[slot.pair]
            for leg, held in ((pair.long, slot.long_held), (pair.short, slot.short_held)):
                if held > 0 and tape.legs[leg].exchange == e:
                    # By the notional of the entry: what was posted does not follow the price.
                    posted += slot.notional / tape.rules[0].leverage
    return posted


@hourly
def total_equity(books: Books, b: int) -> float:
    """Equity of all wallets and what is on its way, USD; wallets as they were valued last."""
    total = books.portfolios[b].in_transit
    for e in range(books.wallets.shape[1]):
        total += books.wallets[b, e].equity
    return float(total)


@seldom
def free_at_wallets(tape: TapeArrays, books: Books, b: int, pair: int) -> float:
    """The largest N that the wallets of both exchanges of a pair have margin for, USD. Equity is that after step 3."""
    free = np.inf
    for leg in (tape.pairs[pair].long, tape.pairs[pair].short):
        e = tape.legs[leg].exchange
        unposted = books.wallets[b, e].equity - posted_margin(tape, books, b, e)
        free = min(free, unposted * tape.rules[0].leverage)
    return float(free)


@seldom
def against_wallets(tape: TapeArrays, books: Books, b: int, pair: int, notional: float) -> int:
    """Why the wallets of a pair's exchanges forbid an entry, or FILLABLE. Equity is that after step 3."""
    rules = tape.rules[0]
    ends = (tape.legs[tape.pairs[pair].long].exchange, tape.legs[tape.pairs[pair].short].exchange)
    for e in ends:
        needed = posted_margin(tape, books, b, e) + notional / rules.leverage
        if needed > books.wallets[b, e].equity * (1.0 + ROUNDING):
            return MARGIN
    # Without a limit this is nan, and nothing is above nan.
    most = rules.max_exchange_share * total_equity(books, b) * (1.0 + ROUNDING)
    for e in ends:
        if books.wallets[b, e].equity > most:
            return EXCHANGE_LIMIT
    return FILLABLE


@seldom
def _poorest(books: Books, b: int) -> int:
    """The exchange with the smallest equity by its share, of equal ones the first; without a share it needs none."""
    poorest, least = NOWHERE, 0.0
    for e in range(books.wallets.shape[1]):
        if books.wallets[b, e].share > 0:
            wealth = books.wallets[b, e].equity / books.wallets[b, e].share
            # By more than rounding: which of equal wallets gets money must not hang on a last bit.
            if poorest == NOWHERE or wealth < least - ROUNDING * abs(least):
                poorest, least = e, wealth
    return poorest


@seldom
def _free(tape: TapeArrays, books: Books, b: int, e: int) -> float:
    """What exchange e lets go: neither posted nor unrealised, USD."""
    wallet = books.wallets[b, e]
    # An unrealised gain cannot be sent (balance), an unrealised loss is already gone (equity).
    return float(min(wallet.balance, wallet.equity - posted_margin(tape, books, b, e)))


@seldom
def _most_to_spare(tape: TapeArrays, books: Books, b: int, total: float) -> tuple[int, float]:
    best, most = NOWHERE, -np.inf
    for e in range(books.wallets.shape[1]):
        above_target = books.wallets[b, e].equity - books.wallets[b, e].share * total
        spare = min(above_target, _free(tape, books, b, e))
        if spare > most:
            best, most = e, spare
    return best, most


@seldom
def _fullest(books: Books, b: int) -> int:
    fullest = 0
    for e in range(books.wallets.shape[1]):
        if books.wallets[b, e].equity > books.wallets[b, fullest].equity:
            fullest = e
    return fullest


@seldom
def plan_transfer(tape: TapeArrays, books: Books, b: int) -> tuple[int, int, float]:
    """(from, to, USD) of the transfer that should leave now; from NOWHERE: none. Wallets have been valued.

    First the poorest wallet (by equity / target) is brought up to its target when it is below ``rebalance_below`` of
    it, from the wallet with most to spare, which keeps its own target. Else the fullest wallet sends what it has
    above ``max_exchange_share`` to the poorest, no more than that lacks. Nothing below ``min_notional`` is sent, and
    what is sent pays its cost on top.
    """
    rules, total = tape.rules[0], total_equity(books, b)
    # A share of nothing, or of a debt, is no target.
    if not total > 0:
        return NOWHERE, NOWHERE, 0.0
    poorest = _poorest(books, b)
    target = books.wallets[b, poorest].share * total
    lack = target - books.wallets[b, poorest].equity
    # Never true without ``rebalance_below``, which is nan then.
    if books.wallets[b, poorest].equity < rules.rebalance_below * target:
        sender, spare = _most_to_spare(tape, books, b, total)
        amount = min(spare - rules.transfer_cost, lack)
        if amount >= rules.min_notional:
            return sender, poorest, amount
    fullest = _fullest(books, b)
    excess = books.wallets[b, fullest].equity - rules.max_exchange_share * total
    if excess > 0:
        amount = min(min(excess, lack), _free(tape, books, b, fullest) - rules.transfer_cost)
        if amount >= rules.min_notional:
            return fullest, poorest, amount
    return NOWHERE, NOWHERE, 0.0


@seldom
def leg_distance(tape: TapeArrays, books: Books, b: int, s: int, t: int, side: int) -> float:
    """The fraction by which the mark may move against a leg of slot s until its wallet must liquidate.

    All else stays as it is; 0 when it must already, at most 1, and 1 when the account is pooled or the leg has left.
    """
    slot, rules = books.slots[b, s], tape.rules[0]
    held = slot.long_held if side == LONG else slot.short_held
    if books.wallets.shape[1] == 0 or not held > 0:
        return 1.0
    pair = tape.pairs[slot.pair]
    leg = pair.long if side == LONG else pair.short
    wallet = books.wallets[b, tape.legs[leg].exchange]
    room = wallet.equity - rules.maintenance * wallet.held
    # A rising mark raises the margin that a short needs as well; a falling one lowers that of a long.
    sign = -1.0 if side == LONG else 1.0
    exposed = held * tape.quotes[leg, t].mark * (1.0 + sign * rules.maintenance)
    return float(min(1.0, max(0.0, room / exposed)))


@seldom
def liquidation_distance(tape: TapeArrays, books: Books, b: int, s: int, t: int) -> float:
    """The smaller distance of the two legs of slot s."""
    return float(min(leg_distance(tape, books, b, s, t, LONG), leg_distance(tape, books, b, s, t, SHORT)))


@seldom
def free_margin_share(tape: TapeArrays, books: Books, b: int, leg: int) -> float:
    """What the wallet at the exchange of a leg has beyond posted margin, as a share of the portfolio's equity.

    With a pooled account there is one wallet for all. Equity is that after step 3; 0 when none is left.
    """
    equity = books.portfolios[b].equity
    if not equity > 0:
        return 0.0
    if books.wallets.shape[1] == 0:
        return float((equity - committed_notional(books, b) / tape.rules[0].leverage) / equity)
    e = tape.legs[leg].exchange
    return float((books.wallets[b, e].equity - posted_margin(tape, books, b, e)) / equity)
