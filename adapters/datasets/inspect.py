"""A short table of what a data set holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from adapters.datasets.layout import Delisting
from adapters.datasets.load import Dataset, load_dataset
from engine.market.data import Floats, MarketData
from engine.market.instruments import RULES_OF_ORDERS

_HEAD = f"{'exchange':<16} {'legs':>5} {'fresh %':>8} {'next trade %':>13} {'settlements':>12}  intervals"


def inspect_dataset(path: Path) -> list[str]:
    """Lines for people. *fresh*: hours with a price of their own between a leg's first and last price; *next
    trade*: fresh hours whose fill price is known; *intervals*: share of the hours under each funding interval."""
    dataset = load_dataset(path)
    market = dataset.market
    lines = [
        f"{'name':<12} {dataset.info.name}",
        f"{'source':<12} {dataset.info.source}",
        f"{'fingerprint':<12} {dataset.fingerprint}",
        f"{'hours':<12} {len(market.hours):,} ({_span(dataset.info.first_hour, dataset.info.last_hour)})",
        f"{'coins':<12} {len(market.symbols)}, {_tradable(market)} of them on two exchanges or more",
    ]
    if market.recorded is not None:
        lines.append(f"{'recorded':<12} {len(market.recorded.pair):,} opportunities")
    lines += _instruments(market) + _order_books(market)
    lines += _windows(dataset)
    lines += [_notice_line(notice) for notice in dataset.info.delistings]
    lines += ["", _HEAD, *(_exchange_line(market, i) for i in range(len(market.exchanges)))]
    return lines + [f"note: {note}" for note in dataset.notes]


def _span(first: object, last: object) -> str:
    return f"{first:%Y-%m-%dT%H:%MZ} to {last:%Y-%m-%dT%H:%MZ}"


def _tradable(market: MarketData) -> int:
    return int((np.bincount(market.leg_symbol, minlength=len(market.symbols)) > 1).sum())


def _windows(dataset: Dataset) -> list[str]:
    if not dataset.windows:
        return [f"{'windows':<12} none (set them with `arb data split`)"]
    return [f"{name:<12} {_span(*window)}" for name, window in dataset.windows.items()]


def _instruments(market: MarketData) -> list[str]:
    """How many legs have rules of orders, and of how many each is known."""
    known = market.instruments
    if known is None:
        return []
    counts = [f"{name} of {len(np.unique(known.leg[~np.isnan(getattr(known, name))]))}" for name in RULES_OF_ORDERS]
    return [f"{'instruments':<12} {len(np.unique(known.leg))} of {market.legs} legs: {', '.join(counts)}"]


def _order_books(market: MarketData) -> list[str]:
    """How many books there are, of how many legs, in which share of their fresh hours, and how deep."""
    books = market.order_books
    if books is None:
        return []
    legs = np.unique(books.leg)
    fresh = int((~np.isnan(market.price[legs])).sum())
    of_side = np.add.reduceat(books.price * books.quantity, books.offsets[:-1])
    depth, share = np.median(np.minimum(of_side[::2], of_side[1::2])), 100 * len(books) / max(fresh, 1)
    return [
        f"{'order books':<12} {len(books):,} of {len(legs)} legs, {share:.1f} % of their hours: "
        f"{np.median(np.diff(books.offsets)):g} levels and {depth:,.0f} USD on the thinner side (medians)"
    ]


def _notice_line(notice: Delisting) -> str:
    when = f"at {notice.time:%Y-%m-%dT%H:%MZ}, known at {notice.known_at:%Y-%m-%dT%H:%MZ}"
    return f"{'delisting':<12} {notice.symbol} on {notice.exchange} {when}"


def _exchange_line(market: MarketData, exchange: int) -> str:
    legs = np.flatnonzero(market.leg_exchange == exchange)
    price, fill, rates = market.price[legs], market.fill_price[legs], market.funding_rate[legs]
    fresh = int((~np.isnan(price)).sum())
    spanned = sum(_lifetime(row) for row in price)
    filled = int((~np.isnan(price) & ~np.isnan(fill)).sum())
    return (
        f"{market.exchanges[exchange]:<16} {len(legs):>5} {100 * fresh / spanned:>8.2f} {100 * filled / fresh:>13.2f} "
        f"{int((~np.isnan(rates)).sum()):>12,}  {_intervals(market.funding_interval_hours[legs])}"
    )


def _lifetime(price: Floats) -> int:
    """Hours from the first to the last price."""
    known = np.flatnonzero(~np.isnan(price))
    return int(known[-1] - known[0]) + 1


def _intervals(stated: Floats) -> str:
    values, counts = np.unique(stated[~np.isnan(stated)], return_counts=True)
    if not len(values):
        return "not stated"
    share = 100 * counts / counts.sum()
    return ", ".join(f"{value:g} h {part:.1f} %" for value, part in zip(values, share, strict=True))
