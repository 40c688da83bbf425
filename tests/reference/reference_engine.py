"""A second, slow implementation of docs/design.md sections 3 and 4, made from the text to check the kernel.

Money is exact: every float of the market and the settings becomes the fraction that it is. Only quantities,
sizes and the square root of the impact are rounded, to 2**-160, so that fractions stay short.
Row indexes of ``MarketData.hours`` are called ``t``. Nothing here is imported from the kernel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import isnan

from reference_books import fitting
from reference_costs import fee_rate, grained, notional_per_leg
from reference_fills import Size, fill
from reference_instruments import no_order_for, whole_lots
from reference_legs import Booking, LegHistory
from reference_margin import IN_TRANSIT, Wallets, leg_fails
from reference_records import (
    Book,
    Enter,
    Exit,
    LedgerRow,
    Leg,
    PendingEntry,
    Position,
    ReferenceResult,
    Slots,
    Trade,
)
from reference_resting import RestedFill, maker_rate, rested

from engine.errors import UserError
from engine.market.data import MarketData
from engine.settings import EngineSettings
from engine.windows import time_of

__all__ = ["Enter", "Exit", "LedgerRow", "ReferenceResult", "Trade", "simulate"]


def simulate(
    market: MarketData,
    settings: EngineSettings,
    orders: Mapping[int, Sequence[Enter | Exit]],
    first: int,
    last: int,
) -> ReferenceResult:
    """Run the hour protocol over the rows ``first`` to ``last`` inclusive; ``orders`` by row of decision.

    Orders at the last row are not looked at. Raises ``UserError`` for an exchange without fees.
    """
    for exchange in market.exchanges:
        if not settings.fees.get(exchange):
            raise UserError(f"no fees for exchange {exchange}")
    run = _Run(market, settings)
    for t in range(first, last):
        run.hour(t, orders.get(t, ()))
    run.last_hour(last)
    return run.result()


class _Run:
    def __init__(self, market: MarketData, settings: EngineSettings) -> None:
        self.market, self.settings = market, settings
        self.cash = Fraction(settings.initial_capital_usd)
        self.slots = Slots([None] * settings.max_positions)
        self.book = Book()
        self.entries = 0
        self.equity_after_protect = self.cash
        self.wallets = Wallets(market.exchanges, settings)
        self.rests = settings.execution == "maker_then_hedge"
        self.wait = settings.latency_hours + 1 if self.rests else settings.latency_hours
        self._histories: dict[int, LegHistory] = {}
        self._leg_index = {market.leg_name(leg): leg for leg in range(market.legs)}

    # --- the hour protocol ---

    def hour(self, t: int, orders: Sequence[Enter | Exit]) -> None:
        self._settle_mark_protect(t)
        self._fill_due(t)
        for order in orders:
            if isinstance(order, Exit):
                self._order_exit(order, t)
        for order in orders:
            if isinstance(order, Enter):
                self._order_entry(order, t)
        self._record(t)

    def last_hour(self, t: int) -> None:
        self._settle_mark_protect(t)
        for slot, held in enumerate(self.slots.held):
            if isinstance(held, PendingEntry):
                self._refuse(t, "end_of_data")
                self.slots.held[slot] = None
            elif held is not None and held.exit_due is not None and held.alone_because is None:
                self._refuse(t, "end_of_data")
        for slot, _ in self.slots.positions():
            self._close(slot, t, "end_of_data")
        self._record(t)

    def _settle_mark_protect(self, t: int) -> None:
        self._settle(t)
        if self.rests:
            self._book_rested(t)
        if self.wallets.exist:
            self._liquidate(t)
        for slot, position in self.slots.positions():
            if position.alone_because is not None:
                self._unwind(slot, position, t)
                continue
            reason = self._protective_reason(position, t)
            if reason is not None:
                self._close(slot, t, reason)
        if self.wallets.exist:
            self._transfer(t)
        self.equity_after_protect = self.cash + self._unrealised(t)

    def _record(self, t: int) -> None:
        unrealised = self._unrealised(t)
        self.book.cash.append(self.cash)
        self.book.unrealised.append(unrealised)
        self.book.equity.append(self.cash + unrealised)
        self.book.open_positions.append(len(self.slots.positions()))
        self.book.wallets.append(self.wallets.snapshot())

    # --- settle and protect ---

    def _settle(self, t: int) -> None:
        concerned = [position for _, position in self.slots.positions()]
        if any(self._bookings_of_the_past(history, t) for history in self._histories.values()):
            concerned += self.book.closed
        for position in concerned:
            for leg in position.legs:
                for booking in leg.history.bookings.get(t, ()):
                    if position.opened < booking.settle_hour and leg.held_over(booking.settle_hour):
                        self._book_funding(position, leg, booking, t)

    @staticmethod
    def _bookings_of_the_past(history: LegHistory, t: int) -> bool:
        """Only these can concern a position that was closed before ``t``."""
        return any(booking.settle_hour < t for booking in history.bookings.get(t, ()))

    def _book_funding(self, position: Position, leg: Leg, booking: Booking, t: int) -> None:
        amount, rate = -leg.sign * position.quantity * booking.mark * booking.rate, booking.rate
        # An assumption may cost, never pay: it is taken back as it was charged.
        if (booking.kind == "imputed" and amount > 0) or (booking.kind == "reversal" and amount < 0):
            amount = rate = Fraction(0)
        position.funding += amount
        self.book.missing_settlements += booking.kind == "imputed"
        imputed = booking.kind != "actual"
        self._append(position, leg, t, "funding", booking.mark, rate, amount, imputed)

    def _protective_reason(self, position: Position, t: int) -> str | None:
        limit = self.settings.max_position_loss_pct
        if limit is not None:
            pnl = position.unrealised(t) + position.price_pnl + position.funding - position.entry_fees
            pnl -= position.exit_fees + position.liquidation_fees
            if 100 * pnl / (2 * position.notional) <= Fraction(limit):
                return "stop_loss"
        if any(self._is_dead(leg, t) for leg in position.open_legs):
            return "data_outage"
        if any(self._leaves_before_delisting(leg.history, t) for leg in position.open_legs):
            return "delisting"
        return None

    def _is_dead(self, leg: Leg, t: int) -> bool:
        """No price, or no settlement, for too long."""
        return leg.history.stale[t] > self.settings.max_stale_hours or leg.history.silent[t]

    def _leaves_before_delisting(self, history: LegHistory, t: int) -> bool:
        now = int(self.market.hours[t])
        return now >= history.delisting_known_hour and now >= history.delisting_hour - 1

    # --- margin by exchange ---

    def _liquidate(self, t: int) -> None:
        """Each exchange closes its worst leg as long as its wallet is below the maintenance margin."""
        rate = Fraction(self.settings.margin.maintenance_margin_rate)
        for exchange in self.market.exchanges:
            while True:
                state = self.wallets.value(self.slots, t)[exchange]
                if not state.legs or state.equity >= rate * state.notional:
                    break
                _, slot, leg = min(state.legs, key=lambda entry: entry[0])
                position = self.slots.position(slot)
                assert position is not None
                position.alone_because, position.unwind_from, position.exit_due = "liquidation", t + 1, None
                self._close_legs(slot, [leg], t, "liquidation", liquidated=True)

    def _unwind(self, slot: int, position: Position, t: int) -> None:
        """The leg that is alone since an hour before leaves, once its price is fresh or it has been dark too long."""
        assert position.alone_because is not None
        stale = max(leg.history.stale[t] for leg in position.open_legs)
        if t < position.unwind_from:
            return
        if any(self._is_dead(leg, t) for leg in position.open_legs):
            self._close(slot, t, "data_outage")
        elif stale == 0:
            self._close(slot, t, position.alone_because)

    def _transfer(self, t: int) -> None:
        arrived = self.wallets.arrival(t)
        if arrived is not None:
            self._move(t, IN_TRANSIT, arrived.receiver, arrived.amount)
        leaving = self.wallets.departure(self.slots, t)
        if leaving is not None:
            self._move(t, leaving.sender, IN_TRANSIT, leaving.amount)
            self._append_transfer(t, "transfer_fee", leaving.sender, -self.wallets.transfer_cost)
            self.cash -= self.wallets.transfer_cost

    def _move(self, t: int, sender: str, receiver: str, amount: Fraction) -> None:
        self._append_transfer(t, "transfer", sender, -amount)
        self._append_transfer(t, "transfer", receiver, amount)

    def _append_transfer(self, t: int, kind: str, exchange: str, amount: Fraction) -> None:
        nothing = Fraction(0)
        self.wallets.add(exchange, amount)
        self.book.ledger.append(LedgerRow(t, 0, kind, "none", exchange, "", nothing, None, None, amount))

    # --- orders that rest ---

    def _book_rested(self, t: int) -> None:
        """What rested since the row before, exits first; settlements of ``t`` are booked already."""
        for slot, position in self.slots.positions():
            if position.exit_due == t and position.alone_because is None and len(position.open_legs) == 2:
                self._leave_rested(slot, position, t)
        for slot, pending in self.slots.pending_entries():
            if pending.due == t:
                self._enter_rested(slot, pending.order, t)

    def _rates(self, legs: Sequence[Leg], t: int) -> dict[str, tuple[Fraction, Fraction]]:
        day = time_of(int(self.market.hours[t])).date()
        names = {leg.side: leg.history.exchange for leg in legs}
        return {s: (maker_rate(self.settings, e, day), fee_rate(self.settings, e, day)) for s, e in names.items()}

    def _leave_rested(self, slot: int, position: Position, t: int) -> None:
        """All or nothing: what is not wholly filled is taken in step 6."""
        asked = t - 1
        seen = rested(
            self.settings,
            position.legs,
            self._rates(position.legs, asked),
            asked,
            opening=False,
            quantity=position.quantity,
            notional=position.notional,
        )
        failed = [leg for leg in position.legs if self._fails(leg, asked, closing=True)]
        if seen.quantity < position.quantity or any(leg.side == seen.rests for leg in failed):
            self._refuse(t, "not_filled")
            return
        self._refuse(t, "wholly_filled")
        if not failed:
            position.exit_due = None
        for leg in position.legs:
            if leg not in failed:
                fill = seen.fills[leg.side]
                leg.exit_price = fill.price
                position.slippage += leg.sign * position.quantity * (fill.base - fill.price)
        leaving = [leg for leg in position.legs if leg not in failed]
        for leg in leaving:
            position.exit_fees += self._book_rested_fee(position, leg, seen.fills[leg.side], position.quantity, t)
        self._realise(slot, leaving, t, "exit")

    def _enter_rested(self, slot: int, order: Enter, t: int) -> None:
        """One of which nothing is filled stays pending until step 6."""
        asked = t - 1
        legs = self._legs_of(order)
        quantity, notional = self._size(legs, asked)
        if self._entry_refusal(legs, quantity, notional, asked) is not None:
            return
        seen = rested(
            self.settings,
            legs,
            self._rates(legs, asked),
            asked,
            opening=True,
            quantity=quantity,
            notional=notional,
        )
        part = notional * seen.quantity / quantity
        failed = [leg for leg in legs if self._fails(leg, asked, closing=False)]
        too_small = part < Fraction(self.settings.min_notional_usd)
        too_small = too_small or no_order_for(self.settings, legs, seen.quantity, asked) is not None
        if too_small or any(leg.side == seen.rests for leg in failed):
            self._refuse(t, "not_filled")
            return
        self._refuse(t, "wholly_filled" if seen.quantity == quantity else "partly_filled")
        self.entries += 1
        position = Position(self.entries, t, part, seen.quantity, legs)
        self.slots.held[slot] = position
        for leg in legs:
            if leg in failed:
                leg.closed = t
            else:
                fill = seen.fills[leg.side]
                leg.entry_price = fill.price
                position.slippage += leg.sign * seen.quantity * (fill.price - fill.base)
                position.entry_fees += self._book_rested_fee(position, leg, fill, seen.quantity, t)
        if failed:
            position.alone_because, position.unwind_from = "leg_failure", t + 1
            self._refuse(t, "leg_failure")
        elif seen.quantity < quantity:
            self._take_the_rest(position, quantity - seen.quantity, notional - part, t)

    def _take_the_rest(self, position: Position, quantity: Fraction, notional: Fraction, t: int) -> None:
        gives_up = self.settings.maker.fallback == "cancel"
        fits = fitting(self.settings, position.legs, quantity, t)
        if fits < quantity:
            fits = whole_lots(self.settings, position.legs, fits, t)
            quantity, notional = fits, notional * fits / quantity
        if gives_up or self._entry_refusal(position.legs, quantity, notional, t) is not None:
            self._refuse(t, "not_filled")
            return
        before = position.quantity
        for leg in position.legs:
            assert leg.entry_price is not None
            done = fill(self.settings, leg.history, Size(quantity, notional), leg.sign, t)
            self.book.fills_at_last_trade += done.at_last_trade
            position.slippage += quantity * abs(done.price - done.base)
            day = time_of(int(self.market.hours[t])).date()
            taken = RestedFill(done.price, done.base, fee_rate(self.settings, leg.history.exchange, day))
            position.entry_fees += self._book_rested_fee(position, leg, taken, quantity, t)
            leg.entry_price = (before * leg.entry_price + quantity * done.price) / (before + quantity)
        position.quantity, position.notional = before + quantity, position.notional + notional

    def _book_rested_fee(self, position: Position, leg: Leg, done: RestedFill, quantity: Fraction, t: int) -> Fraction:
        fee = done.rate * quantity * done.price
        where = (leg.side, leg.history.exchange, leg.history.symbol)
        row = LedgerRow(t, position.position_id, "fee", *where, quantity, done.price, done.rate, -fee)
        self._move_cash(row)
        return fee

    # --- orders ---

    def _fill_due(self, t: int) -> None:
        for slot, position in self.slots.positions():
            if position.exit_due == t:
                position.exit_due = None
                if not any(leg.history.stale[t] > 0 for leg in position.open_legs):
                    self._leave_by_order(slot, position, t)
                elif len(position.open_legs) == 1:
                    position.exit_due = t + 1
                else:
                    self._refuse(t, "stale_leg")
        for slot, pending in self.slots.pending_entries():
            if pending.due == t:
                self.slots.held[slot] = None
                if self.rests and self.settings.maker.fallback == "cancel":
                    self._refuse(t, "not_filled")
                else:
                    self._enter(slot, pending.order, t)

    def _order_exit(self, order: Exit, t: int) -> None:
        position = self.slots.position(order.slot)
        if position is None:
            self._refuse(t, "no_position")
        elif position.leaving():
            self._refuse(t, "already_pending")
        elif self.wait > 0:
            position.exit_due = t + self.wait
        else:
            self._leave_by_order(order.slot, position, t)

    def _leave_by_order(self, slot: int, position: Position, t: int) -> None:
        """Legs that fail stay for another attempt in the next hour."""
        failed = [leg for leg in position.open_legs if self._fails(leg, t, closing=True)]
        if failed:
            position.exit_due = t + 1
            self._refuse(t, "leg_failure")
        self._close_legs(slot, [leg for leg in position.open_legs if leg not in failed], t, "exit")

    def _fails(self, leg: Leg, t: int, *, closing: bool) -> bool:
        hour = int(self.market.hours[t])
        name = (leg.history.symbol, leg.history.exchange)
        return leg_fails(self.settings, *name, hour, is_short=leg.sign < 0, closing=closing)

    def _order_entry(self, order: Enter, t: int) -> None:
        legs = [self._leg_index.get((order.symbol, e)) for e in (order.long_exchange, order.short_exchange)]
        if None in legs or legs[0] == legs[1]:
            self._refuse(t, "no_such_opportunity")
        elif None not in self.slots.held:
            self._refuse(t, "no_free_slot")
        elif self.slots.holds(order):
            self._refuse(t, "already_held")
        elif self.wait > 0:
            slot = self.slots.held.index(None)
            self.slots.held[slot] = PendingEntry(t + self.wait, order)
        else:
            self._enter(self.slots.held.index(None), order, t)

    def _legs_of(self, order: Enter) -> tuple[Leg, Leg]:
        long_leg = Leg("long", 1, self._history(order.symbol, order.long_exchange))
        return long_leg, Leg("short", -1, self._history(order.symbol, order.short_exchange))

    def _notional(self, legs: tuple[Leg, Leg]) -> Fraction:
        notional = notional_per_leg(self.settings, self.equity_after_protect)
        return self._fitted(legs, notional) if self.settings.fit_to_free_margin else notional

    def _size(self, legs: tuple[Leg, Leg], t: int) -> tuple[Fraction, Fraction]:
        """Base quantity of both legs, and N, by the prices of ``t``."""
        notional, prices = self._notional(legs), [leg.history.price[t] for leg in legs]
        if None in prices:  # refused in any case
            return Fraction(0), notional
        mid = (legs[0].price(t) + legs[1].price(t)) / 2
        quantity = grained(notional / mid)
        most = whole_lots(self.settings, legs, fitting(self.settings, legs, quantity, t), t)
        return (quantity, notional) if most == quantity else (most, most * mid)

    def _enter(self, slot: int, order: Enter, t: int) -> None:
        legs = self._legs_of(order)
        quantity, notional = self._size(legs, t)
        reason = self._entry_refusal(legs, quantity, notional, t)
        failed = [leg for leg in legs if self._fails(leg, t, closing=False)] if reason is None else []
        if len(failed) == 2:
            reason = "leg_failure"
        if reason is not None:
            self._refuse(t, reason)
            return
        self.entries += 1
        position = Position(self.entries, t, notional, quantity, legs)
        self.slots.held[slot] = position
        for leg in legs:
            if leg in failed:
                leg.closed = t
            else:
                leg.entry_price = self._fill(position, leg, leg.sign, t)
                position.entry_fees += self._book_fee(position, leg, leg.entry_price, t)
        if failed:
            position.alone_because, position.unwind_from = "leg_failure", t + 1
            self._refuse(t, "leg_failure")

    def _fitted(self, legs: tuple[Leg, Leg], notional: Fraction) -> Fraction:
        """What margin allows of a size, where that is worth an entry; else the size, which will be refused."""
        leverage = Fraction(self.settings.leverage)
        held = sum((p.notional * len(p.open_legs) for _, p in self.slots.positions()), Fraction(0))
        most = (self.equity_after_protect * leverage - held) / 2
        if self.wallets.exist:
            most = min([most, *(self.wallets.unposted(leg.history.exchange, self.slots) * leverage for leg in legs)])
        enough = most >= Fraction(self.settings.min_notional_usd)
        return grained(min(notional, most)) if enough else notional

    def _entry_refusal(self, legs: tuple[Leg, Leg], quantity: Fraction, notional: Fraction, t: int) -> str | None:
        settings = self.settings
        histories = [leg.history for leg in legs]
        if any(history.stale[t] > 0 for history in histories):
            return "stale_leg"
        if any(history.fresh_hours[t] < settings.min_history_hours for history in histories):
            return "too_young"
        if any(history.silent[t] for history in histories):
            return "silent_leg"
        if any(self._leaves_before_delisting(history, t) for history in histories):
            return "delisting"
        if any(self._filtered(history, t) for history in histories):
            return "filtered"
        if settings.impact_coefficient > 0 and any(history.traded_volume[t] is None for history in histories):
            return "no_volume"
        not_taken = no_order_for(settings, legs, quantity, t)
        if not_taken is None and notional < Fraction(settings.min_notional_usd):
            not_taken = "below_min_notional"
        if not_taken is not None:
            too_small = not_taken in ("below_exchange_minimum", "below_min_notional")
            return "thin_book" if too_small and self._is_cut(legs, t) else not_taken
        held = [position.notional * len(position.open_legs) for _, position in self.slots.positions()]
        committed = sum(held, 2 * notional)
        if committed / Fraction(settings.leverage) > self.equity_after_protect * (1 + Fraction(1, 10**9)):
            return "margin"
        if self.wallets.exist:
            return self.wallets.refusal([history.exchange for history in histories], notional, self.slots)
        return None

    def _is_cut(self, legs: tuple[Leg, Leg], t: int) -> bool:
        """Whether the books of the hour leave less than the equity of now would buy."""
        whole = grained(self._notional(legs) / ((legs[0].price(t) + legs[1].price(t)) / 2))
        return fitting(self.settings, legs, whole, t) < whole

    def _filtered(self, history: LegHistory, t: int) -> bool:
        """A limit that cannot be shown to be kept counts as broken."""
        least, widest = self.settings.filters.min_volume_24h_usd, self.settings.filters.max_bid_ask_spread
        volume, spread = history.volume[t], history.spread[t]
        too_thin = least is not None and (volume is None or volume < least)
        deepest = self.settings.filters.min_depth_usd
        too_shallow = deepest is not None and not history.depth[t] >= deepest  # nan is not deep enough
        return too_thin or too_shallow or (widest is not None and (isnan(spread) or spread > widest))

    def _close(self, slot: int, t: int, reason: str) -> None:
        position = self.slots.position(slot)
        assert position is not None
        self._close_legs(slot, position.open_legs, t, reason)

    def _close_legs(self, slot: int, legs: Sequence[Leg], t: int, reason: str, *, liquidated: bool = False) -> None:
        position = self.slots.position(slot)
        assert position is not None
        outage = reason == "data_outage"
        for leg in legs:
            leg.exit_price = self._fill(position, leg, -leg.sign, t, outage=outage)
            position.exit_fees += self._book_fee(position, leg, leg.exit_price, t)
            if liquidated:
                self._book_liquidation_fee(position, leg, leg.exit_price, t)
        self._realise(slot, legs, t, reason)

    def _realise(self, slot: int, legs: Sequence[Leg], t: int, reason: str) -> None:
        """Book the price P&L of legs that have left, and the trade when none is left."""
        position = self.slots.position(slot)
        assert position is not None
        for leg in legs:
            assert leg.exit_price is not None
            amount = position.quantity * leg.gain(leg.exit_price)
            position.price_pnl += amount
            self._append(position, leg, t, "price", leg.exit_price, None, amount)
            leg.closed = t
        if not position.open_legs:
            position.closed, position.exit_reason = t, position.alone_because or reason
            self.book.closed.append(position)
            self.slots.held[slot] = None

    def _book_liquidation_fee(self, position: Position, leg: Leg, price: Fraction, t: int) -> None:
        rate = Fraction(self.settings.margin.liquidation_fee_rate) * Fraction(self.settings.cost_multiple)
        fee = rate * position.quantity * price
        position.liquidation_fees += fee
        self._append(position, leg, t, "liquidation_fee", price, rate, -fee)

    # --- prices, fees, cash ---

    def _fill(self, position: Position, leg: Leg, direction: int, t: int, *, outage: bool = False) -> Fraction:
        size = Size(position.quantity, position.notional)
        done = fill(self.settings, leg.history, size, direction, t, outage=outage)
        self.book.fills_at_last_trade += done.at_last_trade
        position.slippage += position.quantity * abs(done.price - done.base)
        return done.price

    def _book_fee(self, position: Position, leg: Leg, price: Fraction, t: int) -> Fraction:
        day = time_of(int(self.market.hours[t])).date()
        rate = fee_rate(self.settings, leg.history.exchange, day)
        fee = rate * position.quantity * price
        self._append(position, leg, t, "fee", price, rate, -fee)
        return fee

    def _append(
        self,
        position: Position,
        leg: Leg,
        t: int,
        kind: str,
        price: Fraction,
        rate: Fraction | None,
        amount: Fraction,
        imputed: bool = False,
    ) -> None:
        where = (leg.side, leg.history.exchange, leg.history.symbol)
        row = LedgerRow(t, position.position_id, kind, *where, position.quantity, price, rate, amount, imputed)
        self._move_cash(row)

    def _move_cash(self, row: LedgerRow) -> None:
        self.cash += row.amount
        if self.wallets.exist:
            self.wallets.add(row.exchange, row.amount)
        self.book.ledger.append(row)

    def _refuse(self, t: int, reason: str) -> None:
        self.book.refused.append((t, reason))

    def _unrealised(self, t: int) -> Fraction:
        return sum((position.unrealised(t) for _, position in self.slots.positions()), Fraction(0))

    def _history(self, symbol: str, exchange: str) -> LegHistory:
        leg = self._leg_index[symbol, exchange]
        if leg not in self._histories:
            self._histories[leg] = LegHistory(self.market, leg, self.settings.max_stale_hours)
        return self._histories[leg]

    # --- what is left behind ---

    def result(self) -> ReferenceResult:
        book = self.book
        capital = Fraction(self.settings.initial_capital_usd)
        return ReferenceResult(
            ledger=book.ledger,
            equity=book.equity,
            cash=book.cash,
            unrealised=book.unrealised,
            open_positions=book.open_positions,
            trades=[self._trade(position) for position in book.closed],
            refused=book.refused,
            missing_settlements=book.missing_settlements,
            fills_at_last_trade=book.fills_at_last_trade,
            max_drawdown_pct=_max_drawdown_pct([capital, *book.equity]),
            wallets=book.wallets,
        )

    def _trade(self, position: Position) -> Trade:
        assert position.closed is not None
        pair, (long_leg, short_leg) = position.pair(), position.legs
        assert long_leg.closed is not None
        assert short_leg.closed is not None
        pnl = position.price_pnl + position.funding - position.entry_fees - position.exit_fees
        pnl -= position.liquidation_fees
        return Trade(
            position_id=position.position_id,
            symbol=pair.symbol,
            long_exchange=pair.long_exchange,
            short_exchange=pair.short_exchange,
            entry_time=time_of(int(self.market.hours[position.opened])),
            exit_time=time_of(int(self.market.hours[position.closed])),
            exit_rows=(long_leg.closed, short_leg.closed),
            duration_hours=position.closed - position.opened,
            quantity=position.quantity,
            position_size_usd=position.notional,
            entry_long_price=long_leg.entry_price,
            entry_short_price=short_leg.entry_price,
            exit_long_price=long_leg.exit_price,
            exit_short_price=short_leg.exit_price,
            entry_fees_usd=position.entry_fees,
            exit_fees_usd=position.exit_fees,
            liquidation_fees_usd=position.liquidation_fees,
            funding_usd=position.funding,
            price_pnl_usd=position.price_pnl,
            slippage_usd=position.slippage,
            pnl_usd=pnl,
            pnl_pct=100 * pnl / (2 * position.notional),
            exit_reason=position.exit_reason,
        )


def _max_drawdown_pct(equity: Sequence[Fraction]) -> Fraction:
    """Largest fall from a peak so far in % of that peak; the initial capital is the first peak."""
    peak, worst = equity[0], Fraction(0)
    for value in equity:
        peak = max(peak, value)
        worst = max(worst, 100 * (peak - value) / peak)
    return worst
