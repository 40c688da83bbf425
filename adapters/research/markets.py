"""From a loaded data set to what a backtest runs on: filters applied, tape and feature tables built or cached."""

from __future__ import annotations

from datetime import datetime

from adapters.configuration.settings import ArbSettings
from adapters.datasets.feature_cache import feature_tables
from adapters.datasets.load import Dataset
from adapters.naming.names import plain, shown
from adapters.naming.symbols import symbol_among
from engine.accounting.tape import prepare
from engine.errors import UserError
from engine.market.data import MarketData, select
from engine.settings import FilterSettings
from engine.windows import Window, time_of
from engine.worlds import World


def filtered(market: MarketData, filters: FilterSettings) -> MarketData:
    """The coins and exchanges that the filters name, coins in any spelling. Raises ``UserError`` for absent ones."""
    named = filters.symbols
    for name in (*(named or ()), *(filters.exchanges or ())):
        if plain(name) != name:
            raise UserError(f"filters: {shown(name)} is no name of a coin or an exchange")
    symbols = None if named is None else [symbol_among(name, market.symbols) for name in named]
    return select(market, symbols=symbols, exchanges=filters.exchanges)


def prepare_dataset(dataset: Dataset, settings: ArbSettings) -> World[ArbSettings]:
    """The world of a data set under the settings' filters and costs, with features from the cache where it has them."""
    tape = prepare(filtered(dataset.market, settings.filters), settings)
    return World(tape, settings, feature_tables(dataset.fingerprint, tape))


def window_of(dataset: Dataset, start: datetime | None, end: datetime | None, name: str | None = None) -> Window:
    """The hours asked for: a named window, or from ``start`` to ``end`` (inclusive; None: as far as the data goes).

    Rows of the data set. Raises ``UserError`` outside the data and for a window in which nothing could be decided.
    """
    market = dataset.market
    first, last = time_of(int(market.hours[0])), time_of(int(market.hours[-1]))
    if name is not None:
        first, last = dataset.window(name)
    start, end = start or first, end or last
    if start >= end:
        raise UserError(f"the window {start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ} is empty")
    return market.window(start, end)
