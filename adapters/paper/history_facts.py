"""From candles and settled rates of the past to the facts of hours (pure): what data sets are made of too."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import chain

import numpy as np

from adapters.datasets.hourly_intervals import intervals_of_hours, shown_intervals
from adapters.exchanges.history import ExchangeHistory
from adapters.exchanges.leg_history import LegHistory
from adapters.exchanges.paging import Row
from adapters.exchanges.quotes import ExchangeOutcome
from adapters.gate.frozen import frozen_bars
from adapters.gate.refusals import Refusal
from adapters.paper.live_facts import LegName
from adapters.storage.stamps import HOUR_MS
from engine.live_window import FACTS, MAX_DELAY_HOURS, HourFacts, Settled
from engine.market.data import Floats

VOLUME_BARS = 24


def past_hours(
    histories: Mapping[str, ExchangeHistory],
    legs: Sequence[LegName],
    first: int,
    last: int,
    known: Container[tuple[int, int]] = (),
) -> list[HourFacts]:
    """The hours ``first`` to ``last``. Price is the close of the bar that ended at the hour, fill price the open of
    the one that began there; frozen bars are none. Intervals are those that the settled rates show, as in a data set.
    Settlements are known at their hour; those before ``first`` that are not in ``known`` (leg, hour), and not out of
    reach, at ``first``.
    """
    values = np.full((last - first + 1, len(FACTS), len(legs)), np.nan)
    for leg, history in _legs(histories, legs):
        _put_bars(values[:, :, leg], history, first)
        _put_intervals(values[:, :, leg], history, first)
    settled: dict[int, list[Settled]] = defaultdict(list)
    for found in settled_rates(histories, legs, first, last, known):
        settled[max(found.hour, first)].append(found)
    return [HourFacts(first + i, values[i], tuple(settled[first + i])) for i in range(last - first + 1)]


def settled_rates(
    histories: Mapping[str, ExchangeHistory],
    legs: Sequence[LegName],
    first: int,
    last: int,
    known: Container[tuple[int, int]] = (),
) -> list[Settled]:
    """Settled rates of hours up to ``last`` that can still be booked at ``first`` and are not in ``known``."""
    return [
        Settled(leg, hour, rate)
        for leg, history in _legs(histories, legs)
        for hour, rate in _by_hour(history).items()
        if first - MAX_DELAY_HOURS <= hour <= last and (leg, hour) not in known
    ]


def refusals_of(histories: Mapping[str, ExchangeHistory]) -> list[Refusal]:
    """What was not believed of the rows that came."""
    legs = (leg for _, history in sorted(histories.items()) for leg in history.legs.values())
    return [refusal for leg in legs for refusal in leg.refused.values()]


def complaints_of(histories: Mapping[str, ExchangeHistory]) -> list[str]:
    """What could not be had, in words: one line an exchange."""
    lines = []
    for name, history in sorted(histories.items()):
        failed = {symbol: leg.error for symbol, leg in history.legs.items() if leg.error}
        if history.error:
            lines.append(f"{name}: {history.error}")
        elif failed:
            symbol = min(failed)
            lines.append(f"{name}: {len(failed)} of {len(history.legs)} coins, the first: {symbol} ({failed[symbol]})")
    return lines


def retries_of(*errands: Iterable[ExchangeOutcome | ExchangeHistory]) -> str:
    """What had to be repeated and why, by exchange: ``retries: bybit 2 (RequestTimeout 2), okx 1 (BrokenAnswer 1)``."""
    retries: Counter[str] = Counter()
    errors: dict[str, Counter[str]] = defaultdict(Counter)
    for each in chain(*errands):
        retries[each.exchange] += each.retries
        errors[each.exchange].update(each.errors)
    kinds = {name: ", ".join(f"{kind} {n}" for kind, n in sorted(found.items())) for name, found in errors.items()}
    told = ", ".join(f"{name} {retries[name]} ({kinds[name]})" for name in sorted(kinds) if retries[name])
    return f"retries: {told}" if told else ""


def _legs(histories: Mapping[str, ExchangeHistory], legs: Sequence[LegName]) -> Iterator[tuple[int, LegHistory]]:
    for leg, (symbol, exchange) in enumerate(legs):
        if exchange in histories and symbol in histories[exchange].legs:
            yield leg, histories[exchange].legs[symbol]


def _by_hour(history: LegHistory) -> dict[int, float]:
    """Settled rates by hour number: a settlement belongs to the hour that it falls in or ends."""
    return {-(-int(time) // HOUR_MS): rate for time, rate in history.settlements.sorted()}


def _living(bars: Sequence[Row]) -> list[Row]:
    """Bars less the frozen ones. Rows of (open time, open, high, low, close, volume), by time."""
    is_still = np.array([volume == 0 and len(set(prices)) == 1 for _, *prices, volume in bars], np.bool_)
    return [bar for bar, frozen in zip(bars, frozen_bars(is_still), strict=True) if not frozen]


def _put_intervals(values: Floats, history: LegHistory, first: int) -> None:
    """Fill in the interval in force at each of ``[hours, FACTS]``, as far as the settled rates tell it."""
    settled = list(_by_hour(history))
    own = shown_intervals(settled)
    values[:, FACTS.index("funding_interval_hours")] = intervals_of_hours(settled, own, first, len(values))


def _put_bars(values: Floats, history: LegHistory, first: int) -> None:
    """Fill ``[hours, FACTS]`` of one leg."""
    row = {name: i for i, name in enumerate(FACTS)}
    bars = {int(bar[0]) // HOUR_MS: bar for bar in _living(history.bars.sorted())}
    unit = history.listing.multiplier
    # USD whatever the contract's unit: a price per 1000 coins and a volume in 1000 coins need no multiplier.
    traded = {opened: volume * close for opened, (_, _, _, _, close, volume) in bars.items()}
    for i in range(len(values)):
        hour = first + i
        if hour - 1 in bars:
            # Bars are stamped by their opening: the one that opens at the hour would tell an hour of the future.
            values[i, row["price"]] = bars[hour - 1][4] / unit
        if hour in bars:
            values[i, row["fill_price"]] = bars[hour][1] / unit
        day = [traded[opened] for opened in range(hour - VOLUME_BARS, hour) if opened in traded]
        if day:
            values[i, row["volume_24h_usd"]] = sum(day)
