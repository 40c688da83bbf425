"""The rows of one contract, whoever brought them: an exchange page by page, a part file, or an import."""

from __future__ import annotations

from dataclasses import dataclass, field

from adapters.exchanges.coins import Listing
from adapters.exchanges.paging import Rows
from adapters.gate.refusals import Refusal


@dataclass
class LegHistory:
    """One leg. Prices are per listed unit (divide by ``listing.multiplier``), volume in listed units.

    ``bars``: rows of (open time, open, high, low, close, volume), finished hours only. ``settlements``: rows of
    (instant as of ``settled_at``, settled rate). Times in ms. ``refused``: rows that no such row can be.
    """

    listing: Listing
    bars: Rows = field(default_factory=Rows)
    settlements: Rows = field(default_factory=Rows)
    error: str | None = None
    refused: dict[tuple[str, int], Refusal] = field(default_factory=dict)
