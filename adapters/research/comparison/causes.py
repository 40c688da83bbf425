"""Why two runs earned differently: the difference of P&L as a sum of causes.

A position of one run is the same as one of the other when it is of the same pair and was opened in the same hour, or
was held at the same time. What is scaled is scaled by the quotient of the quantities, so that a run with twice the
capital differs by ``size`` alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from adapters.research.comparison.held import Book, Held

CAUSES: Mapping[str, str] = {
    "only_in_first": "positions only in the first",
    "only_in_second": "positions only in the second",
    "size": "size",
    "opening": "opened at another hour",
    "entry_price": "price of the entry fills",
    "exit_price": "price of the exit fills",
    "closing": "closed at another hour, for another reason, or in one only",
    "legs": "a leg failed in one only",
    "fees": "fees",
    "settlements": "funding booked in one only (missing, late)",
    "rates": "funding booked in both, other rate, mark or price",
    "open_positions": "value of open positions",
    "elsewhere": "transfers between exchanges",
}
"""Every cause by name, as people read it. Amounts are the first run less the second, USD."""


@dataclass(frozen=True)
class Matched:
    """A position of the first run, of the second, or of both; ``amounts`` by cause, USD, first less second.

    ``complete``: the amounts hold all of its difference; else its value at an end of the span is in ``lumped``.
    """

    first: Held | None
    second: Held | None
    amounts: Mapping[str, float]
    complete: bool

    @property
    def difference_usd(self) -> float:
        return sum(self.amounts.values())


@dataclass(frozen=True)
class Attribution:
    """The whole difference: by position, and by cause."""

    positions: Sequence[Matched]
    causes: Mapping[str, float]
    difference_usd: float


def attribute(first: Book, second: Book) -> Attribution:
    """Decompose ``first.pnl_usd - second.pnl_usd``; the causes sum to it."""
    pairs = list(match(first.positions, second.positions))
    positions = [_one_sided(pair) if None in pair else _both(*pair) for pair in pairs]  # type: ignore[arg-type]  # not None
    causes = dict.fromkeys(CAUSES, 0.0)
    for position in positions:
        for cause, usd in position.amounts.items():
            causes[cause] += usd
    # A value that only several positions have together goes to their cause if they all have the same.
    lumps = {_value_cause(*pair) for pair, position in zip(pairs, positions, strict=True) if not position.complete}
    causes[lumps.pop() if len(lumps) == 1 else "open_positions"] += first.shared_usd - second.shared_usd
    causes["elsewhere"] += first.elsewhere_usd - second.elsewhere_usd
    return Attribution(positions, causes, first.pnl_usd - second.pnl_usd)


def match(first: Sequence[Held], second: Sequence[Held]) -> Iterator[tuple[Held | None, Held | None]]:
    """Every position once: pairs that were opened together, then pairs held at the same time, then the rest."""
    for symbol in sorted({held.symbol for held in (*first, *second)}):
        ours, theirs = ([held for held in side if held.symbol == symbol] for side in (first, second))
        # The stricter match first: the looser one could take away the partner of a better match.
        for is_same in (_opened_together, _held_together):
            for one in list(ours):
                other = next((held for held in theirs if is_same(one, held)), None)
                if other is not None:
                    ours.remove(one)
                    theirs.remove(other)
                    yield one, other
        yield from ((one, None) for one in ours)
        yield from ((None, other) for other in theirs)


def _opened_together(one: Held, other: Held) -> bool:
    return one.opened == other.opened and _same_pair(one, other)


def _held_together(one: Held, other: Held) -> bool:
    in_time = all(
        later.closed is None or later.closed > earlier.opened for later, earlier in ((one, other), (other, one))
    )
    return in_time and _same_pair(one, other)


def _same_pair(one: Held, other: Held) -> bool:
    """The same exchanges; a leg that failed to open can have been anywhere."""
    sides = set(one.exchanges) & set(other.exchanges)
    return bool(sides) and all(one.exchanges[side] == other.exchanges[side] for side in sides)


def _value_cause(one: Held | None, other: Held | None) -> str:
    """To which cause the price P&L of a position goes that is not explained by its entry."""
    if one is None or other is None:
        return "only_in_second" if one is None else "only_in_first"
    if set(one.entry) != set(other.entry):
        return "legs"
    if one.carried_in != other.carried_in:
        return "opening"
    if (one.closed, one.reason) != (other.closed, other.reason):
        return "closing"
    return "open_positions" if one.closed is None else "exit_price"


def _one_sided(pair: tuple[Held | None, Held | None]) -> Matched:
    one, other = pair
    held, sign = (one, 1) if one is not None else (other, -1)
    assert held is not None
    return Matched(one, other, {_value_cause(one, other): sign * held.pnl_usd}, held.price_known)


def _both(one: Held, other: Held) -> Matched:
    """One position in both runs: first what its size explains, then price, fees and funding of equal sizes."""
    known = one.price_known and other.price_known
    scale = one.quantity / other.quantity
    price_scale = scale if known else 1.0  # the price P&L of one alone is not known, so that its size stays in it
    by_value = _entry_value(one) / _entry_value(other) if set(one.entry) == set(other.entry) else scale
    sized, scaled = (_grown(other, to, known) for to in (by_value, scale))
    entry = _entry_usd(one, other, one.quantity if known else other.quantity)
    value = one.price_usd - price_scale * other.price_usd - entry
    amounts = dict.fromkeys(CAUSES, 0.0)
    amounts["size"] = sized
    # Equal sizes in USD are not equal quantities where the price of the entry was another.
    amounts["entry_price" if one.opened == other.opened else "opening"] += entry + scaled - sized
    amounts[_value_cause(one, other)] += value
    amounts["fees"] += one.entry_fees - scale * other.entry_fees
    left_alike = (one.closed, one.reason) == (other.closed, other.reason)
    amounts["fees" if left_alike else "closing"] += one.exit_costs - scale * other.exit_costs
    for cause, usd in _funding(one, other, scale):
        amounts[cause] += usd
    return Matched(one, other, {cause: usd for cause, usd in amounts.items() if usd}, known)


def _entry_value(held: Held) -> float:
    return held.quantity * sum(held.entry.values())


def _grown(held: Held, scale: float, price_too: bool) -> float:
    """What a position would have earned more, had it been so many times as large."""
    return (scale - 1) * (held.pnl_usd - (0.0 if price_too else held.price_usd))


def _entry_usd(one: Held, other: Held, quantity: float) -> float:
    """What better entry fills brought; 0 where a leg is missing or the entry lies before the span."""
    if one.carried_in or other.carried_in or set(one.entry) != set(other.entry):
        return 0.0
    # Bought dearer is worse, sold dearer is better.
    signs = {"long": -1, "short": 1}
    return quantity * sum(signs[leg] * (one.entry[leg] - other.entry[leg]) for leg in one.entry)


def _funding(one: Held, other: Held, scale: float) -> Iterator[tuple[str, float]]:
    """Differences of funding by leg and hour of booking."""
    since = max(one.opened, other.opened)
    ends = [held.closed for held in (one, other) if held.closed is not None]
    until = min(ends) if ends and one.closed != other.closed else None
    for key in sorted(set(one.funding) | set(other.funding)):
        usd = one.funding.get(key, 0.0) - scale * other.funding.get(key, 0.0)
        # Booked when only one of the two was open yet: not a matter of rates.
        if key[1] <= since:
            yield "opening", usd
        elif until is not None and key[1] > until:
            yield "closing", usd
        else:
            yield "rates" if key in one.funding and key in other.funding else "settlements", usd
