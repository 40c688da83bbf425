"""What a fill crosses on top of slippage: half the quoted spread; where none is quoted, what the spread model says.

The table of spreads never reaches features or filters: what is assumed of a cost is not something that was seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from engine.errors import SettingsError, did_you_mean
from engine.market.carried import carry_forward
from engine.market.data import Floats, MarketData
from engine.settings import ELSEWHERE, EngineSettings, SpreadRow, in_force


def half_spreads(market: MarketData, settings: EngineSettings, volume_before: Floats) -> Floats:
    """Half-spread ``[legs, hours]``, a fraction of price, that fills are charged on top of ``slippage_bps``.

    Quoted spreads are whole ones, and a fill crosses half. Where none is quoted it is 0 with ``spread_model: fixed``,
    since slippage alone stands for it; with ``volume`` it is what the table has beyond slippage at the last known 24 h
    volume. ``volume_before`` ``[legs]`` is that volume before the first row. Raises ``SettingsError`` when the table
    has no rows for an exchange.
    """
    quoted = market.bid_ask_spread
    if settings.spread_model == "fixed":
        return np.asarray(np.nan_to_num(quoted) / 2)
    volume = carry_forward(market.volume_24h_usd, volume_before)
    # Together with slippage, which is added to every fill, that makes the larger of the two.
    beyond = np.maximum(table_half_spreads(market, settings, volume) - settings.slippage_bps / 1e4, 0.0)
    return np.where(np.isnan(quoted), beyond, quoted / 2)


def table_half_spreads(market: MarketData, settings: EngineSettings, volume: Floats) -> Floats:
    """Half-spread of the table ``[legs, hours]``, a fraction of price, at volumes in USD (nan: the widest there is)."""
    out = np.empty(volume.shape)
    # The table changes by day: one look-up a day, not one an hour.
    days, starts = np.unique(market.hours // 24, return_index=True)
    spans = list(zip(days, starts, [*starts[1:], len(market.hours)], strict=True))
    for exchange, name in enumerate(market.exchanges):
        rows, legs = _rows_of(settings, name), market.leg_exchange == exchange
        for day, start, end in spans:
            row = in_force(rows, datetime.fromtimestamp(int(day) * 86400, UTC))
            out[legs, start:end] = _at(row, volume[legs, start:end])
    return out


def _at(row: SpreadRow, volume: Floats) -> Floats:
    floors = np.array([one.from_usd for one in row.half_spread])
    widths = np.array([one.bps for one in row.half_spread]) / 1e4
    # An unknown volume may be a thin one; the first bin is the thinnest, and never narrower than another.
    return np.asarray(widths[np.searchsorted(floors, np.nan_to_num(volume), side="right") - 1])


def _rows_of(settings: EngineSettings, exchange: str) -> Sequence[SpreadRow]:
    rows = settings.spreads.get(exchange) or settings.spreads.get(ELSEWHERE)
    if not rows:
        known = ", ".join(sorted(settings.spreads)) or "none"
        hint = f"; {did_you_mean(exchange, settings.spreads)}" if settings.spreads else ""
        raise SettingsError(
            f"no spreads for exchange {exchange} and none for {ELSEWHERE}{hint}; add it to configs/spreads.yaml "
            f"(known: {known})"
        )
    return rows
