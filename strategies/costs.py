"""What a round trip costs, as a rule reckons with it before it trades."""

from __future__ import annotations

import numpy as np

from strategies.plugin import Floats, View


def round_trip_bps(view: View) -> Floats:
    """Expected cost of entering and leaving every pair ``[pairs]``, basis points of the notional of one leg.

    Fees and slippage of four fills, and the wider quoted spread twice (half of it at each fill) where one is known.
    """
    fees = 100 * view.feature("positionCostPercent")
    quoted = 100 * view.feature("bidAskSpreadPercent")
    # Where no spread is quoted fills have none either, so the rule reckons as the engine does.
    cost: Floats = fees + 4e4 * view.slippage + 2 * np.where(np.isnan(quoted), 0.0, quoted)
    return cost
