"""Bars that stand still without any volume: a market that is dead though its feed goes on (pure)."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from engine.market.data import Floats

FROZEN_BARS = 12
"""Feeds of delisted contracts repeat the last trade for ever. The thinnest live contracts of large exchanges trade
again within half a day; a dozen hourly bars in a row without a single trade are no market that a position can leave."""

DAY = 24
_ROUNDING = 1e-9  # sums over the same hours in another order
Flags = NDArray[np.bool_]


def frozen_bars(is_still: Flags) -> Flags:
    """Which bars of one contract, in order of time, belong to a run of ``FROZEN_BARS`` still ones or more.

    A bar is still when open, high, low and close are one price and nothing was traded. A bar that is missing
    within a run is no sign of life. The run counts from its first bar on.
    """
    return _runs(is_still)[0]


def frozen_hours(price: Floats, fill_price: Floats, volume_24h_usd: Floats) -> Flags:
    """The same for hourly prices of one leg ``[hours]``: at which hours the price is that of a frozen bar.

    The bar that ended at an hour is still when price and open (the fill price of the hour before, where known) are the
    price before it. Whether nothing was traded shows in the 24 h volume alone: it never rises, and by the end of the
    run it has fallen, to zero within a day. Where no volume is known at all, nothing can be said.
    """
    known = np.flatnonzero(~np.isnan(price))
    frozen = np.zeros(price.shape, np.bool_)
    if known.size < 2 or np.isnan(volume_24h_usd).all():
        return frozen
    here, volume = price[known], np.nan_to_num(volume_24h_usd[known], nan=0.0)
    # In row 0 the index would wrap round to the last fill, which says nothing of the first bar.
    opened = np.where(known > 0, fill_price[known - 1], np.nan)
    is_still = np.zeros(known.size, np.bool_)
    is_still[1:] = (here[1:] == here[:-1]) & (volume[1:] <= volume[:-1] * (1 + _ROUNDING))
    is_still &= np.isnan(opened) | (opened == here)
    for first, stop in _runs(is_still)[1]:
        if _ran_dry(volume[first - 1 : stop]):
            frozen[known[first:stop]] = True
    return frozen


def frozen_note(coin: str, exchange: str, count: int, first: datetime) -> str:
    """What a person is told of the frozen bars of a leg; ``first``: when the price first stood still."""
    return (
        f"{coin} on {exchange}: {count} hourly bars stand still without volume, the first at {first:%Y-%m-%dT%H:%MZ} "
        f"({FROZEN_BARS} in a row or more): left out, as if there had been no price"
    )


def _ran_dry(volume: Floats) -> bool:
    """Whether 24 h volumes, from the one before a run to its end, are those of hours without a trade."""
    # From the 24th still hour on the sum holds nothing that was traded before the run.
    after_a_day = volume[1:][DAY - 1 :]
    # A price may also rest while trades go on at it: then what leaves the sum is replaced, and it does not fall.
    return bool(not after_a_day.any() and (volume[-1] == 0 or volume[-1] < volume[0] * (1 - _ROUNDING)))


def _runs(is_still: Flags) -> tuple[Flags, list[tuple[int, int]]]:
    """The members of runs that are long enough, and where each such run begins and stops."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], is_still, [False])).astype(np.int8)))
    spans = [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= FROZEN_BARS]
    members = np.zeros(len(is_still), np.bool_)
    for first, stop in spans:
        members[first:stop] = True
    return members, spans
