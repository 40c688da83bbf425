"""Mutated files of other programs through ``arb data import``: refused, or every row that is taken is a right one."""

from __future__ import annotations

import functools
import gzip
import io
import json
import math
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from altered_bytes import altered
from fuzzing.raw_tables import run
from support_imports import BY_NAME, NOW, Made, make, tables_of

NAME = "imported files"
FORMATS = ("freqtrade JSON", "freqtrade feather", "ccxt", "binance", "bybit", "bybit trades", "tardis", "described CSV")
PACKED = (".gz", ".zip")
"""What is packed carries a checksum: a byte that is another one must be seen."""

Rng = np.random.Generator
Line = list[Any]
"""The cells of a row: JSON values, or text."""
PRICES: tuple[Any, ...] = (
    None,
    "x",
    "",
    "nan",
    "inf",
    "-inf",
    -1,
    0,
    1e300,
    True,
    "0x10",
    "1_0",
    "\uff11\uff12",
    1e-300,
)
TIMES: tuple[Any, ...] = (None, "x", "", 0, -1, 5, 1e300, "nan", True, 2**63)
RATES: tuple[Any, ...] = (None, "x", "", "nan", "inf", 1, -1, 1e300, True, "1_0", 0.2)
PER_CENT: tuple[Any, ...] = (None, "x", "", "nan", "inf", 1e300, "1_0", 40, -40)
"""A rate of 1 % at once has been seen."""


def case(rng: Rng, folder: Path) -> str:
    """One folder of files, one of which is spoilt, imported."""
    made = BY_NAME[FORMATS[int(rng.integers(len(FORMATS)))]]
    files = folder / "files"
    for name, content in _files(made.name).items():
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).write_bytes(content)
    candidates = sorted(name for name in _files(made.name) if not name.endswith(".yaml"))
    path = files / candidates[int(rng.integers(len(candidates)))]
    is_certain = _spoil(path, rng)
    codes = []
    for part, *more in made.parts:
        words = [str(files / word) if word.endswith(".yaml") else word for word in more]
        options = ["--strict"] if rng.random() < 0.1 else []
        code, _, complaint = run(
            ["data", "import", str(files / part), "--from", made.source, "--exchange", made.exchange,
             "--out", str(folder / "raw"), "--now", NOW, *words, *options]
        )  # fmt: skip
        assert code in (0, 1, 2), (code, complaint)
        assert (code == 2) == complaint.startswith("error: "), complaint
        assert complaint.count("\n") == (code == 2), complaint
        assert len(complaint) < 1_000, complaint
        codes.append(code)
    if is_certain and (folder / "raw").exists():
        _assert_right(folder / "raw", made)
    return "refused" if any(codes) else "accepted"


def _assert_right(raw: Path, made: Made) -> None:
    """Whatever stands in the tables is what the clean ones say of that coin and time."""
    for file, time, names, clean in zip(
        ("prices_1h.parquet", "funding.parquet", "marks_1h.parquet"),
        ("timestamp", "settlement_time", "timestamp"),
        (("open", "high", "low", "close", "volume"), ("funding_rate",), ("mark_price",)),
        _clean(made.name),
        strict=True,
    ):
        if not (raw / file).exists():
            continue
        table = pd.read_parquet(raw / file)
        for row in table.to_dict("records"):
            wanted = clean.get((row["base"], row[time]))
            assert wanted is not None, f"{file}: a row of no such time: {row}"
            for name in names:
                # Absent is right, wrong is not.
                if not math.isnan(row[name]):
                    assert math.isclose(row[name], wanted[name], rel_tol=1e-9), f"{file}, {name}: {row}, not {wanted}"


@functools.cache
def _files(name: str) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as place:
        folder = make(BY_NAME[name], Path(place) / "files")
        return {
            str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
        }


@functools.cache
def _clean(name: str) -> tuple[dict[tuple[str, Any], dict[str, Any]], ...]:
    """By table the rows by coin and time."""
    made = BY_NAME[name]
    prices, funding = tables_of(made)
    marks = [] if made.marks is None else [made.marks(table) for table in prices]
    return tuple(
        {(row["base"], row[time]): row for table in tables for row in table.to_dict("records")}
        for tables, time in ((prices, "timestamp"), (funding, "settlement_time"), (marks, "timestamp"))
    )


def _spoil(path: Path, rng: Rng) -> bool:
    """Spoil a file; answers whether whatever is taken of it must still be right."""
    content, kind = path.read_bytes(), rng.random()
    if kind < 0.25 or path.suffix == ".feather":
        path.write_bytes(altered(content, rng))
        # Nobody can see a digit that is another one, where nothing sums them up.
        return path.suffix in PACKED
    if kind < 0.35:
        path.write_bytes(content[: int(rng.integers(len(content)))])
        return True
    if kind < 0.4:
        path.write_bytes((b"", b"\n", b"[]", b"{}", b"null", rng.bytes(200))[int(rng.integers(6))])
        return True
    rows, save = _rows(path, content)
    change = CHANGES[int(rng.integers(len(CHANGES)))]
    save(change(rows, rng, _columns(path, rows)))
    # A trade or a tick that is not there cannot be missed.
    return change is not fewer_rows or not _is_of_ticks(path)


def _is_of_ticks(path: Path) -> bool:
    return "derivative_ticker" in path.name or (path.suffix == ".gz" and path.name.count("-") == 2)


def _rows(path: Path, content: bytes) -> tuple[list[Line], Callable[[list[Line]], object]]:
    """The rows of a file, without its head, and what writes others in their place."""
    member = ""
    if path.suffix == ".zip":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            member = archive.namelist()[0]
            content = archive.read(member)
    elif path.suffix == ".gz":
        content = gzip.decompress(content)

    def keep(told: bytes) -> None:
        packed = gzip.compress(told) if path.suffix == ".gz" else told
        if member:
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(member, told)
            packed = out.getvalue()
        path.write_bytes(packed)

    if ".json" in path.name:
        return _json_rows(json.loads(content), keep)
    separator = ";" if b";" in content.split(b"\n")[0] else ","
    lines = [line.split(separator) for line in content.decode().splitlines()]
    head = [] if any(cell[:4].isdigit() for cell in lines[0]) else lines[:1]
    return lines[len(head) :], lambda rows: keep(
        "".join(separator.join("" if c is None else str(c) for c in row) + "\n" for row in [*head, *rows]).encode()
    )


def _json_rows(value: Any, keep: Callable[[bytes], None]) -> tuple[list[Line], Callable[[list[Line]], object]]:
    if isinstance(value, list):
        return value, lambda rows: keep(json.dumps(rows).encode())
    symbol, *others = value  # mappings of rates by symbol
    keys = ("timestamp", "fundingRate")
    pairs = [[row[key] for key in keys] for row in value[symbol]]

    def save(rows: list[Line]) -> None:
        made = [{"symbol": symbol, **dict(zip(keys, row, strict=False))} for row in rows]
        keep(json.dumps({symbol: made, **{other: value[other] for other in others}}).encode())

    return pairs, save


def _columns(path: Path, rows: list[Line]) -> dict[int, tuple[Any, ...]]:
    """By column what may be put there that must be seen."""
    width, name = len(rows[0]), path.name.lower()
    if "derivative_ticker" in name:
        return {2: TIMES}
    if width == 2:
        return {0: TIMES, 1: RATES}
    if "funding" in name or (width == 3 and name == "all.csv"):
        if name.endswith("-funding.csv"):
            return {2: TIMES, 1: RATES}
        return {0: TIMES, 2: PER_CENT if name == "all.csv" else RATES} if width == 3 else {0: TIMES, 1: RATES}
    if width == 7 and name.endswith(".gz"):
        return {4: PRICES[:8]}  # trades: a time that is another one is another hour
    first = 2 if width == 7 else 1
    return {0: TIMES, **dict.fromkeys(range(first, first + 4), PRICES)}


# --- what is done to rows ---

Columns = dict[int, tuple[Any, ...]]


def a_few_cells(rows: list[Line], rng: Rng, columns: Columns) -> list[Line]:
    changed = [list(row) for row in rows]
    for at in rng.integers(len(rows), size=int(rng.integers(1, 4))).tolist():
        column = sorted(columns)[int(rng.integers(len(columns)))]
        changed[at][column] = columns[column][int(rng.integers(len(columns[column])))]
    return changed


def a_whole_column(rows: list[Line], rng: Rng, columns: Columns) -> list[Line]:
    column = sorted(columns)[int(rng.integers(len(columns)))]
    value = columns[column][int(rng.integers(len(columns[column])))]
    return [[*row[:column], value, *row[column + 1 :]] for row in rows]


def another_unit_of_time(rows: list[Line], rng: Rng, columns: Columns) -> list[Line]:
    column = next((column for column, values in columns.items() if values is TIMES), None)
    factor = (1_000_000, 1e-3, 1e-6)[int(rng.integers(3))]
    if column is None or not str(rows[0][column]).isdigit():
        return rows
    return [[*row[:column], int(int(row[column]) * factor), *row[column + 1 :]] for row in rows]


def rows_again(rows: list[Line], rng: Rng, _: Columns) -> list[Line]:
    again = [list(rows[at]) for at in rng.integers(len(rows), size=int(rng.integers(1, 5))).tolist()]
    return [*rows, *again]


def another_order(rows: list[Line], rng: Rng, _: Columns) -> list[Line]:
    return [rows[at] for at in rng.permutation(len(rows)).tolist()]


def fewer_rows(rows: list[Line], rng: Rng, _: Columns) -> list[Line]:
    return [row for row in rows if rng.random() < 0.7]


def cells_too_few_or_too_many(rows: list[Line], rng: Rng, _: Columns) -> list[Line]:
    at = int(rng.integers(len(rows)))
    cells = rows[at][: int(rng.integers(len(rows[at])))] if rng.random() < 0.5 else [*rows[at], "7", "8"]
    return [*rows[:at], cells, *rows[at + 1 :]]


def what_contradicts(rows: list[Line], rng: Rng, columns: Columns) -> list[Line]:
    """Rows of times that are there, with other numbers."""
    column = next((column for column, values in columns.items() if values is RATES or values is PER_CENT), None)
    if column is None:
        return rows
    at = int(rng.integers(len(rows)))
    other = [*rows[at][:column], 0.000123456, *rows[at][column + 1 :]]
    return [*rows, other]


CHANGES: tuple[Callable[[list[Line], Rng, Columns], list[Line]], ...] = (
    a_few_cells, a_few_cells, a_few_cells, a_whole_column, another_unit_of_time, rows_again, another_order, fewer_rows,
    cells_too_few_or_too_many, what_contradicts,
)  # fmt: skip
