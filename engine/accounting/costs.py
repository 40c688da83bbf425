"""What a fill costs: spread, slippage and impact in its price, fees beside it; and the price P&L that it realises."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from engine.accounting.booking import Movement, book
from engine.accounting.books import Books
from engine.accounting.codes import FEE, LIQUIDATION_FEE, PRICE
from engine.accounting.order_books import books_are_known, walked
from engine.accounting.tape import TapeArrays
from engine.compiled import hourly


class Taking(NamedTuple):
    """What a taker wants of one leg: ``direction`` 1.0 buys, -1.0 sells; base quantity, and N in USD."""

    side: int
    leg: int
    direction: float
    quantity: float
    notional: float


class Fill(NamedTuple):
    """One leg of a position, bought or sold: ``price`` in USD has spread, slippage and impact in it, ``raw`` has not.

    ``rate`` is that of the fee, a fraction of notional.
    """

    side: int
    leg: int
    price: float
    raw: float
    rate: float


@hourly
def fill_cost(quote: Any, rules: Any, notional: float, extra: float) -> float:
    """h + i (+ extra), as a fraction of the fill price before it, cost multiple included.

    ``quote`` is that of the leg at the hour of the fill, ``notional`` N in USD; ``extra`` is a fraction.
    """
    impact = 0.0
    # Without impact the volume need not be known; nan times zero would make the price nan.
    if rules.impact > 0:
        impact = rules.impact * np.sqrt(notional / quote.volume)
    # The multiple is on the spread too, as it is on fees: else dearer worlds would favour wide markets.
    return float((quote.half_spread + rules.slippage + impact + extra) * rules.cost_multiple)


@hourly
def taker_cost(tape: TapeArrays, t: int, taking: Taking, extra: float) -> float:
    """What ``taking`` pays at row t beside the fee, as a fraction of the price before it, cost multiple included.

    That is ``fill_cost``; where an order book was seen at t walking it stands for h and impact.
    """
    quote, rules = tape.quotes[taking.leg, t], tape.rules[0]
    if books_are_known(tape):
        walk = walked(tape, taking.leg, t, taking.direction, taking.quantity)
        if not np.isnan(walk):
            return float((walk + rules.slippage + extra) * rules.cost_multiple)
    return float(fill_cost(quote, rules, taking.notional, extra))


@hourly
def raw_fill(portfolio: Any, quote: Any, at_last_known: bool) -> float:
    """The first trade after the hour; where it is unknown (or must not be used) the last known price, counted."""
    if np.isnan(quote.fill) or at_last_known:
        # Last trades bounce between bid and ask; fills at them may earn what nobody can, so reports show how many.
        portfolio.fills_at_last_trade += 1
        return float(quote.price)
    return float(quote.fill)


@hourly
def take(tape: TapeArrays, portfolio: Any, t: int, taking: Taking, outage: bool) -> Fill:
    """What a taker gets for one leg at row t. In an outage it costs more."""
    quote, rules = tape.quotes[taking.leg, t], tape.rules[0]
    # On both fills, though one leg may be fresh: in an outage both must go, at any price.
    extra = rules.outage_slippage if outage else 0.0
    # A stale leg gets its last known price even where a trade follows: at t nobody knew of the market's return.
    raw = raw_fill(portfolio, quote, outage and quote.stale > 0)
    # The fee is that of the leg's own exchange at the hour of the fill: published fees change with the date.
    price = raw * (1.0 + taking.direction * taker_cost(tape, t, taking, extra))
    return Fill(taking.side, taking.leg, price, raw, quote.fee_rate)


@hourly
def pay_fee(tape: TapeArrays, books: Books, b: int, t: int, slot: Any, fill: Fill, quantity: float) -> float:
    """Book the fee of one fill of ``quantity``; returns it in USD, positive."""
    fee = fill.rate * quantity * fill.price
    exchange = tape.legs[fill.leg].exchange
    movement = Movement(slot.id, FEE, fill.side, fill.leg, exchange, 0, quantity, fill.price, fill.rate, -fee)
    book(books, b, t, movement)
    return float(fee)


@hourly
def pay_liquidation_fee(tape: TapeArrays, books: Books, b: int, t: int, slot: Any, fill: Fill) -> None:
    """Book what the exchange takes for having closed a leg itself, on top of the fee of the fill."""
    rate = tape.rules[0].liquidation_fee
    fee = rate * slot.quantity * fill.price
    exchange, kind = tape.legs[fill.leg].exchange, LIQUIDATION_FEE
    movement = Movement(slot.id, kind, fill.side, fill.leg, exchange, 0, slot.quantity, fill.price, rate, -fee)
    book(books, b, t, movement)
    slot.liquidation_fees += fee


@hourly
def realise(tape: TapeArrays, books: Books, b: int, t: int, slot: Any, fill: Fill, amount: float) -> None:
    """Book the price P&L ``amount``, USD, of a leg that has left."""
    exchange = tape.legs[fill.leg].exchange
    movement = Movement(slot.id, PRICE, fill.side, fill.leg, exchange, 0, slot.quantity, fill.price, np.nan, amount)
    book(books, b, t, movement)
    slot.price_pnl += amount
