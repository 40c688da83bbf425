"""What the environments show at every hour, ranked and scaled once before training begins.

The rows are made by the engine's own ``rank_hour``, so that they hold the bits which a view of the hour would.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.accounting.tape import Tape
from engine.errors import UserError
from engine.market.data import Floats
from engine.observation.encoding import ObservationSpec, Ranked, Scaler, encoding_of, rank_hour
from engine.observation.features import COLUMN, FEATURES
from engine.observation.opportunities import OpportunityBuilder

QUALITY_HORIZON_DAYS = 3


class Candidates(NamedTuple):
    """Ranked pairs of every hour of a tape; K is ``spec.candidates``. Hours outside the range asked for have none."""

    ranked: Ranked
    quality: NDArray[np.bool_]  # [hours, K], see ``is_quality``


def candidate_table(
    builder: OpportunityBuilder, spec: ObservationSpec, scaler: Scaler, first: int, last: int
) -> Candidates:
    """Candidates of rows ``first..last``, both included. Raises ``DataError`` for a value that no market has."""
    check_positions(spec, builder.tape)
    encoding, hours = encoding_of(spec, scaler), builder.tape.hours
    ranked = encoding.blank(builder, hours)
    table = Candidates(ranked, np.zeros((hours, spec.candidates), np.bool_))
    features = np.empty((len(builder.tape.pairs), len(FEATURES)))
    offered = np.empty(len(builder.tape.pairs), bool)
    for t in range(first, last + 1):
        builder.fill(t, features, offered)
        rank_hour(encoding, builder, t, (features, offered), ranked, t)
        # Where there is no candidate the index is -1, which would read the last pair: hence the second condition.
        table.quality[t] = is_quality(builder.tape, features)[ranked.pairs[t]] & (ranked.pairs[t] >= 0)
    return table


def is_quality(tape: Tape, features: Floats) -> NDArray[np.bool_]:
    """Whether entering a pair is worth its costs by what is known, ``[pairs]``.

    It is when the net funding of the last 72 h, earned for as long again, pays the fees and the fixed slippage of
    the four fills. Unknown funding is not.
    """
    settings = tape.settings
    # The feature is in basis points per day; fees are in percent of the notional.
    earned_pct = QUALITY_HORIZON_DAYS * features[:, COLUMN["net_funding_72h_bps"]] / 100
    # positionCostPercent holds the fees of all four fills, but no slippage.
    slippage_pct = 4 * settings.slippage_bps * settings.cost_multiple / 100
    worth: NDArray[np.bool_] = earned_pct > features[:, COLUMN["positionCostPercent"]] + slippage_pct
    return worth


def check_positions(spec: ObservationSpec, tape: Tape) -> None:
    """Raise ``UserError`` unless a policy of this spec has one slot for each position that the run allows."""
    allowed = tape.settings.max_positions
    if spec.positions != allowed:
        raise UserError(
            f"the observation has {spec.positions} positions and max_positions is {allowed}; "
            f"make them equal, for example with --set observation.positions={allowed}"
        )
