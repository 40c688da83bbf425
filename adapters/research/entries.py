"""Why each trade was entered, as far as the market can say: what was on show when it was decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from adapters.storage.csv_files import write_table
from engine.accounting.records import Records
from engine.observation.features import COLUMN
from engine.observation.opportunities import OpportunityBuilder
from engine.windows import time_of

FILE = "entries.csv"
SHOWN = {
    "net_funding_24h_bps": ("net_funding_24h_bps", 1.0),
    "net_funding_168h_bps": ("net_funding_168h_bps", 1.0),
    "spread_bps": ("spread", 1e4),
    "round_trip_fees_bps": ("positionCostPercent", 100.0),
}
"""Column to feature and factor; basis points, of funding per day."""


def entries_frame(records: Records, builder: OpportunityBuilder) -> pd.DataFrame:
    """One row a trade, in the order of ``trades.csv``: facts of its pair at the hour of the decision.

    ``funding_now_bps`` is the daily net of the last settled rates; ``rank`` the place among the pairs on offer by it,
    1 for the best. nan where something was not known.
    """
    rows = [_facts(builder, trade) for trade in records.trades]
    columns = ("position_id", "decided", "funding_now_bps", *SHOWN, "rank", "offered")
    return pd.DataFrame(rows, columns=list(columns))


def _facts(builder: OpportunityBuilder, trade: Any) -> tuple[Any, ...]:
    tape = builder.tape
    # What was known when the order was given, which may lie before the fill.
    decided, pair = max(int(trade["opened"]) - tape.settings.hours_to_fill, 0), int(trade["pair"])
    features, offered = builder.at(decided)
    # From percent per 8 hours to basis points per day.
    funding = 300 * features[:, COLUMN["fund_profit_8h"]]
    shown = (factor * features[pair, COLUMN[feature]] for feature, factor in SHOWN.values())
    rivals = funding[offered]
    rank = float(1 + np.count_nonzero(rivals > funding[pair])) if not np.isnan(funding[pair]) else np.nan
    time = pd.Timestamp(time_of(int(tape.market.hours[decided])))
    return int(trade["position_id"]), time, float(funding[pair]), *map(float, shown), rank, len(rivals)


def write_entries(folder: Path, records: Records, builder: OpportunityBuilder) -> None:
    """``entries.csv``."""
    write_table(folder / FILE, entries_frame(records, builder))
