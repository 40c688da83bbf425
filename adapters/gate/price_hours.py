"""Prices, next trades and marks of many hours, one after the other where anything may be refused."""

from __future__ import annotations

from functools import partial

import numpy as np

from adapters.gate.anchored import exchanges_moved_off, far_from
from adapters.gate.past import before, carried
from adapters.gate.prices import Past, judge, why
from adapters.gate.suspects import Suspects
from adapters.gate.table import Table
from adapters.gate.values import Flags
from engine.market.data import Floats

FALL_WITH_PRICE = ("bid_ask_spread", "depth_usd")
"""They come from the same book."""
EXACT = 1e-9  # a price divided by its contract's multiplier is rounded


def judge_prices(table: Table) -> None:
    """Refuse the prices that neither the other exchanges nor the leg's own past make likely."""
    suspects = Suspects(table.source, table["price"], table.since, table.limits)
    for column in range(table.since, len(table.source.hours)):
        if suspects.flags[column - table.since]:
            # From the table and not its source: what was refused an hour ago must not vouch for this hour.
            value, hours = before(table["price"], column, table.limits.memory_hours)
            past = _past(table, value, hours, column - hours)
            for leg in _refuse(table, "price", column, past, np.True_):
                suspects.refused(leg, column)
                for kind in FALL_WITH_PRICE:
                    table.void(kind, [(leg, column)])


def judge_next_trades(table: Table) -> None:
    """Refuse fill prices that are far from the leg's own price, unless the other exchanges went there as well."""
    _void_repeated(table)
    price, age = (values[:, table.since :] for values in carried(table["price"], table.limits.memory_hours))
    fills = table["fill_price"][:, table.since :]
    # Only a price of the same hour clears a fill; an older one may be far off by an honest move.
    near = np.abs(fills / np.where(age == 0, price, np.nan) - 1) <= table.limits.max_price_disagreement
    for row in np.flatnonzero((~np.isnan(fills) & ~near).any(axis=0)):
        column = int(row) + table.since
        # At least 1: moves are divided by the root of this age.
        past = _past(table, price[:, row], 1 + age[:, row], column - age[:, row])
        _refuse(table, "fill_price", column, past, ~near[:, row])
    _refuse_whole_exchanges(table, "fill_price")


def judge_extremes(table: Table) -> None:
    """Refuse highs and lows that cannot be of the bar that a believed fill price opens; others are of no use."""
    fills, most = table["fill_price"], 1 + table.limits.max_lone_move
    for kind, lowest, highest in (("high", 1 - EXACT, most), ("low", 1 / most, 1 + EXACT)):
        if getattr(table.source, kind) is None:
            continue
        ratio = table[kind] / fills
        wrong = (ratio < lowest) | (ratio > highest)
        wrong[:, : table.since] = False
        for leg, column in np.argwhere(wrong):
            text = f"not within {lowest:.3g} and {highest:.3g} times the first trade of its bar"
            table.refuse(kind, int(leg), int(column), text)


def judge_marks(table: Table) -> None:
    """Refuse mark prices that are far from the leg's own price; where it has none, from the coin's elsewhere."""
    limits = table.limits
    marks = table["mark_price"][:, table.since :]
    if np.isnan(marks).all():
        return
    price, age = (values[:, table.since :] for values in carried(table["price"], limits.memory_hours))
    anchor = np.where(np.isnan(price), _elsewhere(table), price)
    # An anchor from elsewhere is of the same hour: its age, unknown here, is 0.
    for leg, row in np.argwhere(far_from(marks, anchor, np.nan_to_num(age), limits.max_mark_distance)):
        text = f"more than {100 * limits.max_mark_distance:g} % from the price {anchor[leg, row]:g}"
        table.refuse("mark_price", int(leg), int(row) + table.since, text)
    _refuse_whole_exchanges(table, "mark_price")


def _refuse(table: Table, kind: str, column: int, past: Past, looked_at: Flags | np.bool_) -> list[int]:
    """Judge one hour and refuse what is not believed of the legs looked at; answers which legs these were."""
    market = table.source
    square = _squared(table, table[kind][:, column])
    judged = judge(square, past, table.limits)
    legs = np.flatnonzero(judged.refused[market.leg_symbol, market.leg_exchange] & looked_at)
    for leg in legs:
        text = why(table.limits, square, int(market.leg_symbol[leg]), int(market.leg_exchange[leg]), judged)
        table.refuse(kind, int(leg), column, text)
    return legs.tolist()


def _refuse_whole_exchanges(table: Table, kind: str) -> None:
    """Refuse what is left of exchanges that left their own prices nearly everywhere."""
    limits = table.limits
    off = exchanges_moved_off(table[kind], table["price"], table.source.leg_exchange, table.since, limits)
    for leg, column in np.argwhere(off):
        text = f"nearly all of the exchange moved more than {100 * limits.max_exchange_shift:g} % off its own prices"
        table.refuse(kind, int(leg), int(column), text)


def _void_repeated(table: Table) -> None:
    """A fill that is the very price that was refused, as in live quotes, is not told of twice."""
    given, fills = table.source.price[:, table.since :], table["fill_price"][:, table.since :]
    same = (given == fills) & np.isnan(table["price"][:, table.since :])
    if same.any():
        table.void("fill_price", ((int(leg), int(row) + table.since) for leg, row in np.argwhere(same)))


def _past(table: Table, value: Floats, hours: Floats, columns: Floats) -> Past:
    """The past of an hour: values of legs, hours since them, and the ``columns`` they are of (nan: none)."""
    return Past(_squared(table, value), _squared(table, hours), partial(_elsewhere_then, table, columns))


def _elsewhere_then(table: Table, columns: Floats) -> Floats:
    """Median price of the coin's other exchanges at each leg's own column, ``[coins, exchanges]``."""
    squared = _squared(table, columns)
    legs = _squared(table, np.arange(table.source.legs, dtype=np.float64))
    # Each leg is compared at its own last hour: prices of different hours differ by moves, not by a basis.
    then = np.full((*legs.shape, legs.shape[1]), np.nan)
    for own in range(legs.shape[1]):
        for other in range(legs.shape[1]):
            rows = ~np.isnan(squared[:, own]) & ~np.isnan(legs[:, other])
            if other != own:
                at = legs[rows, other].astype(np.int64), squared[rows, own].astype(np.int64)
                then[rows, own, other] = table["price"][at]
    known = ~np.isnan(then).all(axis=2)
    elsewhere = np.full(legs.shape, np.nan)
    elsewhere[known] = np.nanmedian(then[known], axis=1)
    return elsewhere


def _elsewhere(table: Table) -> Floats:
    """Believed price of each leg's coin on the other exchanges, the median, for the new hours."""
    prices, coin = table["price"][:, table.since :], table.source.leg_symbol
    found = np.full(prices.shape, np.nan)
    for leg, row in np.argwhere(np.isnan(prices) & ~np.isnan(table["mark_price"][:, table.since :])):
        others = prices[coin == coin[leg], row]
        others = others[~np.isnan(others)]
        found[leg, row] = np.median(others) if len(others) else np.nan
    return found


def _squared(table: Table, values: Floats) -> Floats:
    """``[legs]`` as ``[coins, exchanges]``."""
    market = table.source
    square = np.full((len(market.symbols), len(market.exchanges)), np.nan)
    square[market.leg_symbol, market.leg_exchange] = values
    return square
