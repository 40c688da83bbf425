"""What is believed of a number from outside: one table of limits, each with the reason or the source beside it.

"Observed" is what real recordings show: 640,000 hourly candles of binance, bybit, gate, hyperliquid and okx and a
million settlements of the same exchanges from November 2023 to May 2025, and scans of 21 exchanges in July and August
2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from engine.settings import Positive, Settings

VERSION = 1
"""Raised whenever the same limits would judge the same numbers differently: what was judged before is judged anew."""

MAX_RATE = 0.1
"""No file with a rate beyond it per settlement is read at all: it is not in decimal fractions."""
MAX_INTERVAL_HOURS = 24
USUAL_INTERVAL_HOURS = (1, 2, 3, 4, 6, 8, 12, 24)

RATE_CAPS: Mapping[str, float] = {
    "binanceusdm": 0.02,  # observed: -2.00 % again and again, never beyond; fundingInfo states 0.02 for most contracts
    "bybit": 0.02,  # observed -1.33 %; 2 % is the highest upperFundingRate of its contracts
    "okx": 0.03,  # observed -2.12 %; up to 3 % seen elsewhere
    "hyperliquid": 0.04,  # documented: 4 % an hour; observed 2.54 %
    "bitget": 0.03,  # observed 2.00 %
    "gate": 0.03,  # observed 2.00 %
    "kucoinfutures": 0.03,  # observed 2.06 %
    "mexc": 0.03,  # observed 3.00 %
}
"""Highest rate of one settlement by exchange, decimal."""

Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
MoreThanOne = Annotated[float, Field(gt=1, allow_inf_nan=False)]


class GateSettings(Settings):
    """The limits. Fractions unless the name says otherwise; times in hours."""

    lowest_price_usd: Positive = 1e-12
    """Of one coin. The cheapest coins traded cost about 1e-9 USD."""
    highest_price_usd: Positive = 1e7
    """Of one coin; bitcoin costs about 1e5 USD."""
    max_price_disagreement: Share = 0.2
    """Of a price from the median of the coin's exchanges: another coin of that name, or a wrong scale. Observed between
    two exchanges at the same hour: 7.7 % at most, above 5 % in 8 of 804,576 hours."""
    max_lone_move: Positive = 1.0
    """Of a price within an hour that no other exchange confirms: 1.0 doubles or halves it. It grows with the root of
    the hours since the last price that was believed. Observed in an hour: four coins by more than a third, OM by three
    quarters, each on all of its exchanges at once."""
    max_exchange_shift: Share = 0.02
    """Of three quarters of an exchange's prices (of two coins at least) from those of the others, and from where they
    were before: beyond it none of them is believed. Observed: the nearest quarter was never more than 1.2 % away."""
    max_mark_distance: Share = 0.1
    """Of a mark price, which serves funding and liquidation, from the leg's own price. Observed between mark and index,
    between which the price lies as a rule: beyond 10 % in 1 of 5,000 rows, on exchanges and coins that hardly trade."""
    max_spread: Share = 0.1
    """Of ask and bid; a wider one names no price. Observed: 8.4 % at most on the exchanges that arb supports."""
    max_volume_usd: Positive = 1e12
    """Of a day, and of the depth of a book. The most traded contract turns over 2.4e10 USD a day."""

    rate_caps: Mapping[str, Positive] = Field(default_factory=lambda: dict(RATE_CAPS))
    """Highest rate of a settlement by exchange; what is written here comes over the shipped table."""
    rate_cap_elsewhere: Positive = 0.04
    """For exchanges without an entry: the highest cap that any documents."""
    usual_rate_per_hour: Positive = 0.0004
    """A rate up to this, times the hours of its interval, needs nothing to compare with."""
    usual_rate: Positive = 0.002
    """The same, at most, whatever the interval."""
    max_rate_growth: MoreThanOne = 8.0
    """Times the highest rate of the leg in ``memory_hours``, or of the coin on another exchange in a day. Observed
    where another exchange had the coin, and the price had not moved: 5.5 at most."""
    rate_by_move: Positive = 0.1
    """Of the largest hourly move of the coin's price in a day: a coin that moved 20 % may settle 2 % at once. Observed:
    a rate of up to 6 % of the move where no rate before had announced it."""
    max_exchange_rate_shift: Positive = 0.001
    """Per 8 h, of three quarters of the rates that an exchange settles in an hour (of three coins at least) from those
    of the others and from its own before: beyond it none is believed. Observed: the nearest quarter was never more than
    0.053 % away."""

    interval_hours: tuple[Annotated[int, Field(ge=1, le=MAX_INTERVAL_HOURS)], ...] = USUAL_INTERVAL_HOURS
    """Funding intervals that exchanges have. 480 is minutes for hours."""
    max_settlement_ahead_hours: Annotated[int, Field(ge=1, le=168)] = 25
    """Of the next settlement that an exchange announces: the longest interval, and an hour for clocks."""
    memory_hours: Annotated[int, Field(ge=24, le=168)] = 72
    """How far back a leg's own past counts. A leg of which nothing was believed for so long begins anew."""

    def rate_cap(self, exchange: str) -> float:
        """The highest rate of one settlement at an exchange."""
        # Settings that name one exchange only must not take away the shipped caps of the others.
        return self.rate_caps.get(exchange, RATE_CAPS.get(exchange, self.rate_cap_elsewhere))

    @property
    def identity(self) -> str:
        """Changes with anything that may change a judgement."""
        return f"{VERSION}-{self.hash()}"
