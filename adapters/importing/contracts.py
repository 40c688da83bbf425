"""Which contract a recording is of: by its name, or by the list of markets that the user gives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters.exchanges.coins import Listing, contracts
from adapters.exchanges.quirks import QUIRKS
from adapters.importing.json_rows import json_of
from adapters.importing.recordings import Recording
from adapters.importing.source_files import opened
from adapters.naming.symbols import QUOTE, QUOTES, contract_of
from engine.errors import DataError, UserError

UNKNOWN = math.nan
"""Size of a contract that no list tells; one object, for two nan that are not the same are not equal."""


@dataclass(frozen=True)
class Contracts:
    """The contracts of one exchange; ``listed``: those of a list of its markets, by ccxt's name (None: no list)."""

    exchange: str
    listed: Mapping[str, Listing] | None = None

    @property
    def quotes(self) -> tuple[str, ...]:
        """Quote currencies, the preferred one first."""
        return QUIRKS[self.exchange].quotes if self.exchange in QUIRKS else QUOTES

    def of(self, recording: Recording) -> Listing:
        """The contract of a recording. Raises ``UserError`` for one that is no linear perpetual."""
        named = contract_of(recording.contract, self.exchange, self.quotes[0] if self.quotes else QUOTE)
        listing = (self.listed or {}).get(named.listed)
        if listing is None:
            listing = Listing(
                self.exchange, named.coin, named.listed, named.multiplier, UNKNOWN, named.quote, created_ms=None
            )
        if recording.multiplier is None or recording.multiplier == listing.multiplier:
            return listing
        if listing.multiplier != 1:
            stated = f"its multiplier is said to be {recording.multiplier}"
            raise UserError(f"{stated}, but {named.listed} is on {listing.multiplier} coins by its name")
        return listing.of_coins(recording.multiplier)

    def coins_of_a_unit(self, listing: Listing) -> float:
        """Listed units of one unit of volume as ccxt gives it; nan where that is contracts of an unknown size."""
        in_contracts = self.exchange in QUIRKS and QUIRKS[self.exchange].candles.volume_in_contracts
        return listing.contract_size if in_contracts else 1.0


def contracts_of(exchange: str, listings: Path | None) -> Contracts:
    """The contracts of an exchange, with what ``listings`` (JSON of ccxt's ``load_markets``) says of them.

    Raises ``DataError`` for a file that is no such list, ``UserError`` for an exchange whose lists arb cannot read.
    """
    if listings is None:
        return Contracts(exchange)
    if exchange not in QUIRKS:
        raise UserError(f"--listings: arb does not read the markets of {exchange}; leave it out")
    markets = json_of(next(iter(opened(listings))))
    rows = list(markets.values()) if isinstance(markets, dict) else markets
    if not isinstance(rows, list):
        raise DataError("is no list of ccxt's markets", file=str(listings))
    usable = [row for row in rows if isinstance(row, Mapping) and row.get("swap") and row.get("linear")]
    listed = {listing.listed: listing for listing in contracts(exchange, usable, QUIRKS[exchange])}
    if not listed:
        raise DataError("lists no linear perpetual as ccxt's load_markets does", file=str(listings))
    return Contracts(exchange, listed)
