"""The table of spreads as a YAML file that people read and add rows to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from adapters.storage.atomic import replacing_file
from adapters.storage.giving_way import check_file
from engine.settings import SpreadRow

HEAD = """\
# Half of the bid-ask spread by 24 h volume, in bps of price: what `spread_model: volume` charges a fill where no spread
# is quoted and it is more than `slippage_bps`. A leg is in the last bin whose from_usd its last known volume reaches;
# one whose volume is not known is in the first, the widest. A run uses the latest row dated at or before the hour of
# the fill, else the earliest one; exchanges without rows use those of `elsewhere`. Made by `arb data fit-spreads`; add
# rows with a later date, and keep these.
"""


def check_table_place(path: Path) -> None:
    """Raise ``UserError`` unless a table can be written here: nothing stands there, or an earlier table."""
    first = HEAD.splitlines()[0].encode()
    check_file(path, lambda content: content.startswith(first), "a table of `arb data fit-spreads`")


def write_table(path: Path, rows: Mapping[str, SpreadRow]) -> None:
    """One dated row for each exchange."""
    check_table_place(path)
    with replacing_file(path) as aside:
        aside.write_text(HEAD + "".join(_lines(name, row) for name, row in rows.items()), encoding="utf-8")


def _lines(name: str, row: SpreadRow) -> str:
    bins = "".join(f"      - {{from_usd: {one.from_usd:.0f}, bps: {one.bps:g}}}\n" for one in row.half_spread)
    # A text of JSON is one of YAML, whatever stands in it.
    source = json.dumps(row.source, ensure_ascii=False)
    return f"{name}:\n  - since: {row.since}\n    source: {source}\n    half_spread:\n{bins}"
