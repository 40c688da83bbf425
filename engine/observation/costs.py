"""What a round trip in a pair is expected to cost, by what is known at the hour."""

from __future__ import annotations

import numpy as np

from engine.accounting.tape import TapeArrays
from engine.compiled import hourly
from engine.observation.features import Tables


@hourly
def _assumed_half_spread(tape: TapeArrays, tables: Tables, leg: int, t: int) -> float:
    """What the spread model charges a fill on top of slippage where no spread is quoted, fraction of price."""
    charged = tape.quotes[leg, t].half_spread if np.isnan(tables.bid_ask[t, leg]) else 0.0
    return float(charged * tape.rules[0].cost_multiple)


@hourly
def round_trip_bps(tape: TapeArrays, tables: Tables, pair: int, t: int) -> float:
    """Fees and slippage of four fills, and the wider spread twice (half of it at each fill), bps of a leg.

    The spread is the quoted one, or what the spread model charges beyond slippage where none is quoted.
    """
    lo, sh, rules = tape.pairs[pair].long, tape.pairs[pair].short, tape.rules[0]
    fees = 1e4 * (2.0 * (tables.fee_rate[t, lo] + tables.fee_rate[t, sh]))
    quoted = 1e4 * np.fmax(tables.bid_ask[t, lo], tables.bid_ask[t, sh])
    assumed = max(_assumed_half_spread(tape, tables, lo, t), _assumed_half_spread(tape, tables, sh, t))
    spread = max(0.0 if np.isnan(quoted) else quoted, 2e4 * assumed)
    return float(fees + 4e4 * rules.slippage * rules.cost_multiple + 2.0 * spread)
