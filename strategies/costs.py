"""What a round trip costs, as a rule reckons with it before it trades."""

from __future__ import annotations

import numpy as np

from strategies.plugin import Floats, View


def round_trip_bps(view: View) -> Floats:
    """Expected cost of entering and leaving every pair ``[pairs]``, basis points of the notional of one leg.

    Fees and slippage of four fills, and the wider spread twice (half of it at each fill): the quoted one, or what the
    spread model charges beyond slippage where none is quoted.
    """
    fees = 100 * view.feature("positionCostPercent")
    quoted = 100 * view.feature("bidAskSpreadPercent")
    # As the engine does: where no spread is quoted fills have none, but for what the model assumes.
    spread = np.maximum(np.where(np.isnan(quoted), 0.0, quoted), 2e4 * view.assumed_half_spread)
    cost: Floats = fees + 4e4 * view.slippage + 2 * spread
    return cost
