"""Parts of a market by hours, and markets whose future is another one: what the look-ahead audit replays."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import numpy as np

from engine.market.data import (
    BAR_EXTREMES,
    NEVER,
    PER_LEG_FLOATS,
    Floats,
    MarketData,
    RecordedOpportunities,
    directed_pairs,
    facts_of,
)
from engine.market.instruments import INSTRUMENT_ARRAYS, RULES_OF_ORDERS, Instruments
from engine.market.order_books import OrderBooks

Rng = np.random.Generator

NOTICES, OPPORTUNITIES = "delisting notices", "recorded opportunities"
INSTRUMENTS, BOOKS = "instruments", "order_books"
TABLES = (*PER_LEG_FLOATS, *BAR_EXTREMES, NOTICES, OPPORTUNITIES, INSTRUMENTS, BOOKS)
"""What a market consists of, as far as it can be known too early."""


def up_to(market: MarketData, last: int) -> MarketData:
    """The rows 0 to ``last`` inclusive, without rules of orders that hold only later."""
    known = market.instruments
    rows = rows_of(market, 0, last + 1)
    return rows if known is None else replace(rows, instruments=known.until(int(market.hours[last])))


def starting_at(market: MarketData, first: int) -> MarketData:
    """The rows from ``first`` on."""
    return rows_of(market, first, len(market.hours))


def rows_of(market: MarketData, start: int, stop: int) -> MarketData:
    """The rows ``start`` to ``stop - 1``."""
    known = market.funding_known_hour
    changes: dict[str, Any] = dict(facts_of(market, lambda values: values[:, start:stop].copy()))
    return replace(
        market,
        hours=market.hours[start:stop],
        funding_known_hour=None if known is None else known[:, start:stop].copy(),
        recorded=None if market.recorded is None else _recorded_rows(market.recorded, start, stop),
        order_books=_books_of_rows(market, start, stop),
        **changes,
    )


def _books_of_rows(market: MarketData, start: int, stop: int) -> OrderBooks | None:
    if market.order_books is None or start >= stop:
        return None
    return market.order_books.between(int(market.hours[start]), int(market.hours[stop - 1]))


def _recorded_rows(recorded: RecordedOpportunities, start: int, stop: int) -> RecordedOpportunities:
    first, last = recorded.offsets[start], recorded.offsets[stop]
    return replace(
        recorded,
        offsets=recorded.offsets[start : stop + 1] - first,
        pair=recorded.pair[first:last],
        features=recorded.features[first:last],
    )


def with_other_future(
    market: MarketData, cut: int, rng: Rng, *, fill_too: bool = False, tables: Collection[str] = TABLES
) -> MarketData:
    """The same facts up to row ``cut``, and noise for everything that becomes known later.

    That includes settlements of earlier hours that are published after ``cut``, notices of delistings, recorded
    opportunities, rules of orders that hold later, and with ``fill_too`` the first trade after ``cut``. Only the named
    ``tables`` change.
    """
    changes: dict[str, Any] = {}
    for name, values in facts_of(market, np.copy).items():
        # Orders of ``cut`` are filled in the bar after it: other fills there are no look-ahead of themselves.
        start = cut if fill_too and name in OF_THE_BAR_AFTER else cut + 1
        values[:, start:] = _noise(name, market, values[:, start:].shape, rng)
        changes[name] = values
    if market.funding_known_hour is not None:
        changes |= _other_publications(market, cut, rng, changes["funding_rate"])
    if market.recorded is not None:
        changes["recorded"] = _other_opportunities(market, market.recorded, cut, rng)
    if market.order_books is not None:
        changes[BOOKS] = _other_books(market.order_books, int(market.hours[cut]), rng)
    changes |= _other_notices(market, cut, rng)
    if market.instruments is not None:
        changes["instruments"] = _other_instruments(market.instruments, int(market.hours[cut]), rng)
    return replace(market, **{name: value for name, value in changes.items() if _TABLE_OF.get(name, name) in tables})


OF_THE_BAR_AFTER = ("fill_price", *BAR_EXTREMES)
"""What becomes known in the hour after t, though it stands at t."""
_TABLE_OF = {
    "funding_known_hour": "funding_rate",
    "recorded": OPPORTUNITIES,
    "delisting_hour": NOTICES,
    "delisting_known_hour": NOTICES,
}


def _noise(name: str, market: MarketData, shape: tuple[int, ...], rng: Rng) -> Floats:
    """Values of the right kind and size that have nothing to do with the market, some of them missing."""
    known = ~np.isnan(market.price)
    mean = np.where(known, market.price, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    level = np.where(mean > 0, mean, 100.0)[:, None] * rng.lognormal(0, 0.3, shape)
    kinds: dict[str, Callable[[], Floats]] = {
        "funding_rate": lambda: rng.normal(0, 0.003, shape),
        "funding_interval_hours": lambda: rng.choice([1.0, 2.0, 4.0, 8.0], shape),
        "volume_24h_usd": lambda: 10 ** rng.uniform(2, 9, shape),
        "bid_ask_spread": lambda: rng.uniform(0, 0.05, shape),
        "depth_usd": lambda: 10 ** rng.uniform(2, 6, shape),
    }
    values = kinds[name]() if name in kinds else level
    # With holes: a look-ahead may ask only whether something will be there.
    return np.where(rng.random(shape) < 0.2, np.nan, values)


def _other_publications(market: MarketData, cut: int, rng: Rng, rates: Floats) -> dict[str, Any]:
    assert market.funding_known_hour is not None
    now = int(market.hours[cut])
    known = market.funding_known_hour.copy()
    later = known > now
    rates[later] = rng.normal(0, 0.003, int(later.sum()))
    # Never before the cut is over: what was known by then is the same in every future.
    known[later] = np.maximum(now + 1, known[later] + rng.integers(-2, 3, int(later.sum())))
    return {"funding_rate": rates, "funding_known_hour": known}


def _other_books(books: OrderBooks, now: int, rng: Rng) -> OrderBooks | None:
    """Books seen after hour ``now`` with other prices and quantities, some of them missing."""
    later = books.hour > now
    changed = later[books.sides // 2]
    # Scaled away from the mid the sides stay sorted and apart.
    distance = books.price / books.mid[books.sides // 2] - 1.0
    wider = rng.uniform(0.1, 1.0, len(books))[books.sides // 2] / max(1.0, float(np.abs(distance).max()))
    other = books.mid[books.sides // 2] * (1.0 + distance * wider)
    return replace(
        books,
        price=np.where(changed, other, books.price),
        quantity=np.where(changed, books.quantity * rng.lognormal(0, 3, len(changed)), books.quantity),
    ).kept(~later | (rng.random(len(books)) >= 0.2))


def _other_notices(market: MarketData, cut: int, rng: Rng) -> dict[str, Any]:
    now = int(market.hours[cut])
    hour, known = market.delisting_hour.copy(), market.delisting_known_hour.copy()
    for leg in np.flatnonzero(known > now):
        if rng.random() < 0.5:
            hour[leg] = known[leg] = NEVER
            continue
        known[leg] = now + int(rng.integers(1, 10))
        hour[leg] = known[leg] + int(rng.integers(-5, 20))
    return {"delisting_hour": hour, "delisting_known_hour": known}


def _other_opportunities(market: MarketData, recorded: RecordedOpportunities, cut: int, rng: Rng) -> Any:
    pairs, hours, kept = len(directed_pairs(market)), len(market.hours), int(recorded.offsets[cut + 1])
    later = [np.flatnonzero(rng.random(pairs) < 0.5) for _ in range(cut + 1, hours)]
    added = np.concatenate([np.empty(0, np.int64), *later])
    ends = kept + np.cumsum([len(rows) for rows in later])
    return replace(
        recorded,
        offsets=np.concatenate([recorded.offsets[: cut + 2], ends]).astype(np.int64),
        pair=np.concatenate([recorded.pair[:kept], added]),
        features=np.concatenate([recorded.features[:kept], rng.normal(0, 100, (len(added), len(recorded.columns)))]),
    )


def _other_instruments(known: Instruments, now: int, rng: Rng) -> Instruments:
    """Up to two other rows after ``now`` for each leg with rules; its earliest row stands for the past and stays."""
    kept = known.until(now)
    last = np.flatnonzero(np.diff(kept.leg, append=kept.leg[-1] + 1))
    rows = np.repeat(last, rng.integers(0, 3, len(last)))
    since = np.maximum(kept.since[rows], now) + rng.integers(1, 100, len(rows))
    added: dict[str, Any] = {"leg": kept.leg[rows], "since": since}
    for name in RULES_OF_ORDERS:
        values = getattr(kept, name)[rows]
        other = 10 ** rng.uniform(-3, 3, len(rows)) * np.where(np.isnan(values), 1.0, values)
        added[name] = np.where(rng.random(len(rows)) < 0.2, np.nan, other)
    all_of = {name: np.concatenate([getattr(kept, name), added[name]]) for name in INSTRUMENT_ARRAYS}
    _, order = np.unique(np.stack([all_of["leg"], all_of["since"]]), axis=1, return_index=True)
    return Instruments(**{name: values[order] for name, values in all_of.items()})
