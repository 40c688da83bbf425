"""What a list of markets demands of orders goes where ``arb data fetch`` keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adapters.exchanges.coins import Listing
from adapters.exchanges.instrument_store import record_instruments
from adapters.importing.refusals import Refusals
from engine.market.instruments import RULES_OF_ORDERS


def record_rules(
    folder: Path, listings: Sequence[Listing], given: Path | None, now_ms: int, refusals: Refusals
) -> list[str]:
    """Write the rules of the imported contracts that the list ``given`` states; the contracts that have any.

    Contracts of which it states none are remarked. Raises ``DataError`` when the file that is there cannot be read.
    """
    if given is None:
        return []
    stated = [listing for listing in listings if any(rule is not None for rule in listing.rules)]
    for listing in listings:
        if listing not in stated:
            refusals.remark(f"{listing.listed}: no {', '.join(RULES_OF_ORDERS)} is listed", str(given))
    record_instruments(folder, stated, now_ms)
    return [listing.listed for listing in stated]
