"""Everything irregular: coins that come and go, outages, settlements that are missing or late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.sample.coins import Coin
from adapters.sample.settings import IncidentSettings, NoticedDelisting
from engine.market.data import Floats

EDGE_HOURS = 48
"""Drawn incidents keep this far from both ends of the span."""


@dataclass(frozen=True)
class Outage:
    """Rows ``start`` to ``end`` (exclusive) that one exchange lacks; ``symbol`` None: of all coins."""

    exchange: str
    symbol: str | None
    start: int
    end: int


def draw_outages(
    rng: np.random.Generator, settings: IncidentSettings, coins: Sequence[Coin], hours: int
) -> list[Outage]:
    """Short outages of whole exchanges in turn, and longer ones of one coin on one exchange."""
    legs = [(coin.symbol, exchange) for coin in coins for exchange in coin.exchanges]
    exchanges = sorted({exchange for _, exchange in legs})
    outages = []
    order = rng.permutation(len(exchanges))
    for number in range(settings.exchange_outages):
        start, length = _span(rng, settings.exchange_outage_hours, hours)
        outages.append(Outage(exchanges[order[number % len(order)]], None, start, start + length))
    for _ in range(settings.leg_outages):
        start, length = _span(rng, settings.leg_outage_hours, hours)
        symbol, exchange = legs[rng.integers(len(legs))]
        outages.append(Outage(exchange, symbol, start, start + length))
    return outages


def _span(rng: np.random.Generator, lengths: tuple[int, int], hours: int) -> tuple[int, int]:
    return int(rng.integers(EDGE_HOURS, hours - EDGE_HOURS)), int(rng.integers(lengths[0], lengths[1] + 1))


def trading_mask(
    settings: IncidentSettings, outages: Sequence[Outage], coin: Coin, exchange: str, hours: int
) -> NDArray[np.bool_]:
    """Rows at which the leg has data, ``[hours]``."""
    alive = np.ones(hours, np.bool_)
    for listing in settings.listings:
        if listing.symbol == coin.symbol:
            alive[: row_of(listing.at, hours)] = False
    for vanishing in settings.vanishings:
        if vanishing.symbol == coin.symbol:
            alive[row_of(vanishing.at, hours) :] = False
    delisting = delisting_of(settings, coin.symbol, exchange)
    if delisting is not None:
        alive[row_of(delisting.at, hours) :] = False
    for outage in outages:
        if outage.exchange == exchange and outage.symbol in (None, coin.symbol):
            alive[outage.start : outage.end] = False
    return alive


def trades_after(settings: IncidentSettings, alive: NDArray[np.bool_], coin: Coin, exchange: str) -> NDArray[np.bool_]:
    """Rows after which a first trade is on record: the next row exists, or trading ends there by notice."""
    hours = len(alive)
    after = np.asarray(alive & np.append(alive[1:], alive[-1]))
    delisting = delisting_of(settings, coin.symbol, exchange)
    if delisting is not None:
        after[row_of(delisting.at, hours) - 1] = alive[row_of(delisting.at, hours) - 1]
    return after


def delisting_of(settings: IncidentSettings, symbol: str, exchange: str) -> NoticedDelisting | None:
    """The notice for one leg, if there is one."""
    found = [d for d in settings.delistings if (d.symbol, d.exchange) == (symbol, exchange)]
    return found[0] if found else None


def row_of(at: float, hours: int) -> int:
    """Row of a share of the span, on a multiple of eight hours."""
    return round(at * hours / 8) * 8


def disturb_settlements(rng: np.random.Generator, settings: IncidentSettings, rates: Floats) -> None:
    """Lose some settlements and publish some an hour late, in place; ``rates`` is ``[legs, hours]``.

    Late ones are of intervals of at least four hours: an hourly one would fall on its successor.
    """
    hours = rates.shape[1]
    inner = np.zeros(hours, np.bool_)
    inner[EDGE_HOURS : hours - EDGE_HOURS] = True
    settled = np.argwhere(~np.isnan(rates) & inner)
    for leg, hour in settled[rng.choice(len(settled), settings.missing_settlements, replace=False)]:
        rates[leg, hour] = np.nan
    # Alone within three hours on either side: an hour later it falls on no other settlement.
    sparse = [(leg, hour) for leg, hour in settled if np.isnan(rates[leg, hour - 3 : hour + 4]).sum() == 6]
    for leg, hour in rng.permutation(sparse)[: settings.late_settlements]:
        rates[leg, hour + 1], rates[leg, hour] = rates[leg, hour], np.nan
