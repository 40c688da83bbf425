"""CSV files: no cell is a formula, numbers stay numbers, and reading gives back what was written."""

from __future__ import annotations

import ast
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from support_report import played, save

import adapters
from adapters.storage.csv_files import RUN, quoted, unquoted, write_rows, write_table
from adapters.storage.run_files import trades_frame, write_comparison

NASTY = [f"{mark}HYPERLINK(1)" for mark in RUN]
CHARACTERS = st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("=+-@\t\r\n'\",;"))
BEGINNINGS = st.sampled_from((*RUN, "'", "''"))
texts = st.one_of(st.text(CHARACTERS, max_size=8), st.builds(str.__add__, BEGINNINGS, st.text(CHARACTERS, max_size=5)))


@given(texts)
def test_a_text_comes_back_and_never_begins_like_a_formula(text: str) -> None:
    assert unquoted(quoted(text)) == text
    assert not quoted(text).startswith(RUN)


@pytest.mark.parametrize("value", [-1, -0.5, 0, True, None, 1e300, np.float64(-2.0)])
def test_what_is_no_text_is_untouched(value: object) -> None:
    assert quoted(value) is value


@given(rows=st.lists(st.tuples(texts, st.floats(allow_nan=False)), min_size=1, max_size=5), heading=texts)
@limits(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_writers_write_cells_that_come_back(tmp_path: Path, rows: list[tuple[str, float]], heading: str) -> None:
    heading = f"x{heading}".replace("\x00", "")
    rows = [(text.replace("\x00", ""), number) for text, number in rows]
    write_rows(tmp_path / "rows.csv", [heading, "number"], rows)
    write_table(tmp_path / "table.csv", pd.DataFrame(rows, columns=[heading, "number"]))
    for name in ("rows.csv", "table.csv"):
        with (tmp_path / name).open(newline="", encoding="utf-8") as file:
            found = list(csv.reader(file))
        assert [(unquoted(text), float(number)) for text, number in found[1:]] == rows
        assert not any(text.startswith(RUN) for text, _ in found)


def test_a_run_of_a_coin_that_is_called_like_a_formula(tmp_path: Path) -> None:
    records, tape = played(3)
    symbols = tuple(f'={symbol}\r=1,\n"' for symbol in tape.market.symbols)
    nasty = replace(tape, market=replace(tape.market, symbols=symbols))
    run = save(tmp_path, records, nasty, strategy="+rule")
    assert len(run.trades)
    assert set(run.trades["symbol"]) <= set(symbols)
    pd.testing.assert_frame_equal(run.trades, trades_frame(records, nasty), check_dtype=False, check_exact=True)
    write_comparison(tmp_path / "comparison.csv", {"+rule": run.metrics})
    for path in tmp_path.rglob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert [cell for cell in cells if cell.startswith(RUN) and not is_number(cell)] == []
    assert "'=" in (tmp_path / "trades.csv").read_text()


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_nobody_else_writes_csv() -> None:
    writers = {"to_csv", "writer", "DictWriter"}
    found = [
        path.name
        for path in Path(adapters.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in writers
    ]
    assert set(found) == {"csv_files.py"}
