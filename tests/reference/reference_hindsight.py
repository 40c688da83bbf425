"""The best chain of trades of one slot, from scratch: every trade's gain in plain Python, every chain considered.

Independent of the engine's own search: it reads the tape's quotes and bookings and follows docs/design.md
sections 3 and 4.
"""

from __future__ import annotations

from functools import cache

from engine.accounting.tape import Tape

NOTICE, SILENT = 1, 2
"""Flags of a quote."""


class _Reckoner:
    def __init__(self, tape: Tape, last: int, notional: float, persistent: bool) -> None:
        self.tape, self.last, self.notional, self.persistent = tape, last, notional, persistent
        self.quotes = tape.arrays.quotes
        self.slippage = tape.settings.slippage_bps / 1e4

    def raw(self, leg: int, t: int) -> float:
        quote = self.quotes[leg, t]
        return float(quote["price"] if quote["fill"] != quote["fill"] else quote["fill"])

    def pair_fills(self, pair: tuple[int, int], t: int, sign: int) -> tuple[float, float]:
        """Raw fills at t; persistent: those of t + 1, at the level of t, if their spread is worse (sign 1: entry)."""
        now = self.raw(pair[0], t), self.raw(pair[1], t)
        if not self.persistent or t >= self.last:
            return now
        then = self.raw(pair[0], t + 1), self.raw(pair[1], t + 1)
        spreads = [(short - long) / (short + long) for long, short in (now, then)]
        if sign * spreads[1] >= sign * spreads[0]:
            return now
        level = sum(now) / sum(then)
        return then[0] * level, then[1] * level

    def cost(self, leg: int, t: int, extra: float = 0.0) -> float:
        return float(self.quotes["half_spread"][leg, t]) + self.slippage + extra

    def fee(self, leg: int, t: int) -> float:
        return float(self.quotes["fee_rate"][leg, t])

    def may_enter(self, pair: tuple[int, int], t: int) -> bool:
        quotes = [self.quotes[leg, t] for leg in pair]
        fresh = all(quote["stale"] == 0 for quote in quotes)
        old = all(quote["fresh_hours"] >= self.tape.settings.min_history_hours for quote in quotes)
        return fresh and old and not any(quote["flags"] for quote in quotes)

    def outage(self, pair: tuple[int, int], t: int) -> bool:
        dark = any(self.quotes["stale"][leg, t] > self.tape.settings.max_stale_hours for leg in pair)
        return dark or any(self.quotes["flags"][leg, t] & SILENT for leg in pair)

    def forced(self, pair: tuple[int, int], t: int) -> bool:
        return self.outage(pair, t) or any(self.quotes["flags"][leg, t] & NOTICE for leg in pair) or t == self.last

    def gain(self, pair: tuple[int, int], o: int, e: int) -> float:
        quotes = self.quotes
        quantity = self.notional / ((quotes["price"][pair[0], o] + quotes["price"][pair[1], o]) / 2)
        long, short = self.pair_fills(pair, o, 1)
        bought, sold = long * (1 + self.cost(pair[0], o)), short * (1 - self.cost(pair[1], o))
        money = -bought * (1 + self.fee(pair[0], o)) + sold * (1 - self.fee(pair[1], o))
        long, short = self.raw(pair[0], e), self.raw(pair[1], e)
        if not self.forced(pair, e):
            long, short = self.pair_fills(pair, e, -1)
        extra = 0.0
        if self.outage(pair, e):
            extra = self.tape.settings.outage_slippage_bps / 1e4
            long = quotes["price"][pair[0], e] if quotes["stale"][pair[0], e] > 0 else long
            short = quotes["price"][pair[1], e] if quotes["stale"][pair[1], e] > 0 else short
        sold, bought = long * (1 - self.cost(pair[0], e, extra)), short * (1 + self.cost(pair[1], e, extra))
        money += sold * (1 - self.fee(pair[0], e)) - bought * (1 + self.fee(pair[1], e))
        return float(quantity * (money + self.funding(pair[1], o, e, 1) + self.funding(pair[0], o, e, -1)))

    def funding(self, leg: int, o: int, e: int, sign: int) -> float:
        """USD per unit of a short (sign 1) or long leg; what is assumed may cost, never pay."""
        total = 0.0
        for t in range(o + 1, self.last + 1):
            start, count = int(self.quotes["booking_start"][leg, t]), int(self.quotes["booking_count"][leg, t])
            for booking in self.tape.arrays.bookings[start : start + count]:
                if o < booking["settle_hour"] <= e:
                    amount = sign * float(booking["mark"]) * float(booking["rate"])
                    total += (amount, min(0.0, amount), max(0.0, amount))[booking["kind"]]
        return total


def best_chain(tape: Tape, first: int, last: int, notional: float, *, persistent: bool) -> float:
    """USD of the best chain in rows ``first..last``; persistent chains rest an hour between two positions."""
    reckoner = _Reckoner(tape, last, notional, persistent)
    pairs = [(int(a), int(b)) for a, b in zip(tape.pairs.long_leg, tape.pairs.short_leg, strict=True)]

    @cache
    def best_from(t: int) -> float:
        """The most that can still be earned by a slot that is free at t before entries."""
        if t >= last:
            return 0.0
        best = best_from(t + 1)
        for pair in pairs:
            if reckoner.may_enter(pair, t):
                for e in range(t + 1, last + 1):
                    best = max(best, reckoner.gain(pair, t, e) + best_from(e + (1 if persistent else 0)))
                    if reckoner.forced(pair, e):
                        break
        return best

    return best_from(first)
