"""Wallets at the exchanges and failing legs of the slow second implementation (see ``reference_engine``)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from reference_records import Leg, Slots

from engine.settings import EngineSettings

IN_TRANSIT = "in_transit"
SLACK = 1 + Fraction(1, 10**9)


@dataclass
class Worth:
    """A wallet at one hour; ``legs`` are (unrealised P&L, slot, leg) in the order of slots, long first."""

    balance: Fraction
    equity: Fraction
    notional: Fraction = Fraction(0)
    posted: Fraction = Fraction(0)
    legs: list[tuple[Fraction, int, Leg]] = field(default_factory=list)

    @property
    def free(self) -> Fraction:
        """What the exchange lets go: neither posted nor only unrealised."""
        return min(self.balance, self.equity - self.posted)


@dataclass(frozen=True)
class Transfer:
    sender: str
    receiver: str
    amount: Fraction
    due: int


class Wallets:
    """Balances by exchange; ``exist`` only where margin is kept by exchange."""

    def __init__(self, exchanges: Sequence[str], settings: EngineSettings) -> None:
        self.exist = settings.account == "by_exchange"
        self._settings, self._rules = settings, settings.margin
        given = settings.margin.wallet_shares
        equal = Fraction(1, len(exchanges))
        self.shares = {e: equal if given is None else Fraction(given.get(e, 0.0)) for e in exchanges}
        capital = Fraction(settings.initial_capital_usd)
        self.balances = {e: capital * share for e, share in self.shares.items()} if self.exist else {}
        self.in_transit = Fraction(0)
        self.transfer_cost = Fraction(settings.margin.transfer_cost_usd) * Fraction(settings.cost_multiple)
        self._under_way: Transfer | None = None
        self._after_protect: dict[str, Fraction] = {}  # equities after step 3

    def add(self, exchange: str, amount: Fraction) -> None:
        if exchange == IN_TRANSIT:
            self.in_transit += amount
        else:
            self.balances[exchange] += amount

    def snapshot(self) -> dict[str, Fraction]:
        return {**self.balances, IN_TRANSIT: self.in_transit} if self.exist else {}

    def value(self, slots: Slots, t: int) -> dict[str, Worth]:
        """Every wallet at the marks of an hour."""
        worth = {e: Worth(balance, balance) for e, balance in self.balances.items()}
        for slot, position in slots.positions():
            for leg in position.open_legs:
                state, mark = worth[leg.history.exchange], leg.history.mark(t)
                pnl = position.quantity * leg.gain(mark)
                state.equity += pnl
                state.notional += position.quantity * mark
                state.posted += position.notional / Fraction(self._settings.leverage)
                state.legs.append((pnl, slot, leg))
        return worth

    def refusal(self, exchanges: Sequence[str], notional: Fraction, slots: Slots) -> str | None:
        """Why wallets forbid an entry: equity as after step 3, margin posted as of now."""
        leverage = Fraction(self._settings.leverage)
        for exchange in exchanges:
            if self._posted(exchange, slots) + notional / leverage > self._after_protect[exchange] * SLACK:
                return "margin"
        most = self._rules.max_exchange_share
        total = sum(self._after_protect.values(), self.in_transit)
        if most is not None and any(self._after_protect[e] > Fraction(most) * total * SLACK for e in exchanges):
            return "exchange_limit"
        return None

    def unposted(self, exchange: str, slots: Slots) -> Fraction:
        """Equity after step 3 less the margin posted as of now."""
        return self._after_protect[exchange] - self._posted(exchange, slots)

    def _posted(self, exchange: str, slots: Slots) -> Fraction:
        legs = [(p, leg) for _, p in slots.positions() for leg in p.open_legs if leg.history.exchange == exchange]
        return sum((position.notional for position, _ in legs), Fraction(0)) / Fraction(self._settings.leverage)

    def arrival(self, t: int) -> Transfer | None:
        """The transfer that arrives now, if any."""
        if self._under_way is None or t < self._under_way.due:
            return None
        arrived, self._under_way = self._under_way, None
        return arrived

    def departure(self, slots: Slots, t: int) -> Transfer | None:
        """The transfer that leaves now, if any; equities of the hour are taken down after it."""
        worth = self.value(slots, t)
        if self._under_way is None:
            chosen = self._chosen(worth)
            if chosen is not None:
                self._under_way = Transfer(*chosen, t + self._rules.transfer_hours)
                worth[chosen[0]].equity -= chosen[2] + self.transfer_cost
        self._after_protect = {e: state.equity for e, state in worth.items()}
        return self._under_way if self._under_way and self._under_way.due == t + self._rules.transfer_hours else None

    def _chosen(self, worth: dict[str, Worth]) -> tuple[str, str, Fraction] | None:
        total = sum((state.equity for state in worth.values()), self.in_transit)
        if total <= 0:
            return None
        target = {e: share * total for e, share in self.shares.items()}
        poorest = self._poorest(worth)
        lack = target[poorest] - worth[poorest].equity
        smallest = Fraction(self._settings.min_notional_usd)
        below, most = self._rules.rebalance_below, self._rules.max_exchange_share
        if below is not None and worth[poorest].equity < Fraction(below) * target[poorest]:
            spare = {e: min(state.equity - target[e], state.free) for e, state in worth.items()}
            sender = max(spare, key=lambda e: spare[e])
            amount = min(spare[sender] - self.transfer_cost, lack)
            if amount >= smallest:
                return sender, poorest, amount
        if most is not None:
            fullest = max(worth, key=lambda e: worth[e].equity)
            excess = worth[fullest].equity - Fraction(most) * total
            amount = min(excess, lack, worth[fullest].free - self.transfer_cost)
            if excess > 0 and amount >= smallest:
                return fullest, poorest, amount
        return None

    def _poorest(self, worth: dict[str, Worth]) -> str:
        """By equity over share; what differs by rounding only counts as equal, and of equal ones the first."""
        wealth = {e: worth[e].equity / share for e, share in self.shares.items() if share > 0}
        poorest = next(iter(wealth))
        for exchange, value in wealth.items():
            if value < wealth[poorest] - abs(wealth[poorest]) / 10**9:
                poorest = exchange
        return poorest


def leg_fails(
    settings: EngineSettings, symbol: str, exchange: str, hour: int, *, is_short: bool, closing: bool
) -> bool:
    """The draw of one fill: number 4 * hour + 2 * short + closing of the splitmix64 sequence of the leg."""
    if settings.leg_failure_probability == 0:
        return False
    digest = hashlib.sha256(f"{settings.leg_failure_seed} {symbol} {exchange}".encode()).digest()
    state = int.from_bytes(digest[:8], "little")
    state += (4 * hour + 2 * is_short + closing + 1) * 0x9E3779B97F4A7C15
    word = 2**64
    z = state % word
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % word
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % word
    z ^= z >> 31
    return Fraction(z >> 11, 2**53) < Fraction(settings.leg_failure_probability)
