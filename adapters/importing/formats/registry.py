"""Every format, by the name that ``--from`` takes: a new one is a file beside this one, and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from adapters.importing.formats.binance_archive import BinanceArchive
from adapters.importing.formats.bybit_archive import BybitArchive
from adapters.importing.formats.ccxt_dump import CcxtDump
from adapters.importing.formats.described_csv import DescribedCsv
from adapters.importing.formats.freqtrade import Freqtrade
from adapters.importing.formats.okx_archive import OkxArchive
from adapters.importing.formats.protocol import Format
from adapters.importing.formats.tardis import Tardis
from engine.errors import UserError

FORMATS: Mapping[str, Callable[[], Format]] = {
    "freqtrade": Freqtrade,
    "binance-archive": BinanceArchive,
    "bybit-archive": BybitArchive,
    "okx-archive": OkxArchive,
    "ccxt": CcxtDump,
    "tardis": Tardis,
}
DESCRIBED = "csv"
"""The format that is described by a file of the user's."""


def format_of(name: str, describe: Path | None) -> Format:
    """The format of a name. Raises ``UserError`` for a description that is missing, wrong, or not wanted."""
    if name == DESCRIBED:
        if describe is None:
            raise UserError("--from csv needs --describe FILE, a YAML file that says what the columns mean")
        return DescribedCsv.of(describe)
    if describe is not None:
        raise UserError(f"--describe goes with --from {DESCRIBED}; {name} needs no description")
    return FORMATS[name]()
