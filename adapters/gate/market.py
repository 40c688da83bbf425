"""Facts of many hours through the gate: those from ``since`` on are judged, those before are believed already."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adapters.gate.intervals import Statements
from adapters.gate.limits import GateSettings
from adapters.gate.past import carried
from adapters.gate.price_hours import judge_extremes, judge_marks, judge_next_trades, judge_prices
from adapters.gate.rates import Evidence
from adapters.gate.refusals import Refusal
from adapters.gate.table import Table
from adapters.gate.values import INTERVAL, RATE, SPREAD, Flags, out_of_range, range_text
from engine.market.data import PER_LEG_FLOATS, Floats, MarketData

FALL_WITH_SPREAD = ("price", "fill_price", "depth_usd")
"""A book without a spread that can be has no price either."""


class Gated(NamedTuple):
    """A market in which everything that is not believed is nan, and what that was."""

    market: MarketData
    refusals: tuple[Refusal, ...]


def gate_market(
    market: MarketData,
    limits: GateSettings,
    *,
    since: int = 0,
    new_rates: Flags | None = None,
    refused_intervals: Floats | None = None,
) -> Gated:
    """Judge the hours from row ``since`` on; the market is the one given when all of it is believed.

    ``new_rates`` ``[legs, hours]`` are the settled rates to judge, some of which may have become known after their hour
    (None: those of the judged hours). ``refused_intervals`` ``[legs]``: see ``intervals.Statements``.
    """
    table = Table(market, limits, since)
    if new_rates is None:
        new_rates = np.zeros(market.price.shape, np.bool_)
        new_rates[:, since:] = True
    _judge_ranges(table, new_rates)
    # Prices first: next trades, marks and rates are all measured by prices that are believed.
    judge_prices(table)
    judge_next_trades(table)
    judge_extremes(table)
    judge_marks(table)
    _judge_rates(table, new_rates)
    _judge_intervals(table, refused_intervals)
    return Gated(table.market(), tuple(table.refusals))


def _judge_ranges(table: Table, new_rates: Flags) -> None:
    """Refuse what no value of its kind can be."""
    market = table.source
    for kind in PER_LEG_FLOATS:
        # A settled rate may become known hours late, so new ones also stand in hours that were judged before.
        first = 0 if kind == RATE else table.since
        for exchange, name in enumerate(market.exchanges):
            cap = table.limits.rate_cap(name)
            legs = np.flatnonzero(market.leg_exchange == exchange)
            wrong = out_of_range(kind, table[kind][legs, first:], table.limits, cap)
            if kind == RATE:
                wrong &= new_rates[legs]
            for row, column in np.argwhere(wrong):
                leg, at = int(legs[row]), int(column) + first
                table.refuse(kind, leg, at, range_text(kind, table.limits, cap))
                for fallen in FALL_WITH_SPREAD if kind == SPREAD else ():
                    table.void(fallen, [(leg, at)])


def _judge_rates(table: Table, new_rates: Flags) -> None:
    market = table.source
    # A copy: the evidence forgets what it refuses, while the refusal below still reads the value as it was given.
    evidence = Evidence(table[RATE].copy(), table["price"], market.leg_symbol, market.leg_exchange, table.limits)
    for leg, column, text in evidence.judge(new_rates):
        table.refuse(RATE, leg, column, text)


def _says_something_new(stated: Floats, since: int, memory: int) -> Flags:
    """Which legs state an interval that is not merely that of before; looked at for a single new hour only."""
    new = stated[:, since:]
    told = ~np.isnan(new).all(axis=1)
    if new.shape[1] != 1 or since == 0:
        return np.asarray(told)
    believed, _ = carried(stated[:, :since], memory - 1)
    return np.asarray(told & (new[:, 0] != believed[:, -1]))


def _judge_intervals(table: Table, refused: Floats | None) -> None:
    stated = table[INTERVAL]
    for leg in np.flatnonzero(_says_something_new(stated, table.since, table.limits.memory_hours)):
        settled = np.flatnonzero(~np.isnan(table[RATE][leg]))
        said = np.nan if refused is None else float(refused[leg])
        statements = Statements(stated[leg], settled, said, table.limits.memory_hours)
        for column, text in statements.judge(table.since):
            table.refuse(INTERVAL, int(leg), column, text)
