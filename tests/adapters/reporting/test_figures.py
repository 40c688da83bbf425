"""One list of columns: what tables say of a metric is said once."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from adapters.reporting.figures import COLUMNS, COSTS, between, cell, cells, columns
from engine.accounting.records import NO_RECORDS
from engine.analysis.metrics import compute_metrics

REPORTING = Path(__file__).resolve().parents[3] / "adapters" / "reporting"


def test_a_cell_has_the_digits_of_its_metric() -> None:
    assert cell("pnl_pct", 1.2345) == "+1.23"
    assert cell("pnl_pct", 1.2345, exact=True) == "+1.234"
    assert cell("sharpe", 1.5, signed=True) == "+1.50"
    assert cell("fitness", 1.5, signed=False) == "1.500"
    assert cell("late_sharpe", None) == "-"
    assert cells(columns("trades", "win_rate_pct"), {"trades": 3}) == ["3", "-"]
    assert between("pnl_pct_per_7d", (-1, 0.5)) == "-1.000 to +0.500"


def test_heads_are_broken_for_terminals_and_whole_on_cards() -> None:
    column = COLUMNS["profit_factor"]
    assert (column.lines, column.one_line) == ("profit\nfactor", "profit factor")
    assert (COLUMNS["win_rate_pct"].lines, COLUMNS["win_rate_pct"].one_line) == ("win\n%", "win %")
    assert COLUMNS["pnl_pct_per_7d"].one_line == "P&L % / 7 d"


@pytest.mark.parametrize(
    ("key", "value", "met"),
    [("sharpe", 1.0, False), ("sharpe", 1.1, True), ("avg_trade_hours", 12, False), ("avg_trade_hours", 11, True)],
)
def test_targets_are_beyond_their_number(key: str, value: float, met: bool) -> None:
    target = COLUMNS[key].target
    assert target is not None
    assert target.is_met(value) is met


def test_metrics_of_runs_are_among_them() -> None:
    shown = {key for key, column in COLUMNS.items() if column.page[0]} - {COSTS}
    assert shown <= {*compute_metrics(NO_RECORDS, 1.0)}


def test_no_table_has_heads_or_digits_of_its_own() -> None:
    """A tuple of head, metric and format beside the one list would be the next copy of it."""
    known = {*COLUMNS}
    for path in [*REPORTING.glob("*.py"), *REPORTING.glob("page/*.py")]:
        if path.name == "figures.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Tuple):
                texts = [item.value for item in node.elts if isinstance(item, ast.Constant)]
                formats = [text for text in texts if isinstance(text, str) and text[-1:] in "f}" and "." in text]
                assert not (known & {*texts} and formats), (path.name, texts)
