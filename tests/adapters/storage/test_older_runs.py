"""Runs that an older version wrote: whatever metric they lack is a dash, in every report, table and comparison."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support_cli import arb
from support_report import add_extras, played, save

from adapters.reporting.figures import cells
from adapters.reporting.page import page
from adapters.reporting.page.comparison import Compared, comparison_page
from adapters.reporting.page.extras import read_extras
from adapters.reporting.page.page import run_page
from adapters.reporting.page.terminal import story_of
from adapters.reporting.results_table import COLUMNS
from adapters.research.dearer_costs import KEPT
from adapters.storage.saved_run import METRIC_NAMES, RUN_FORMAT, read_run

STRAY = re.compile(r"(?<![\w.])(nan|None|undefined|NaT|Undefined|inf)(?!\w)")
DASHES = {
    "sharpe": "Sharpe", "max_drawdown_pct": "Max drawdown", "win_rate_pct": "Win rate", "exposure_pct": "Exposure",
    "avg_trade_hours": "Average trade", "pnl_pct_per_7d": "P&amp;L per 7 days",
}  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    records, tape = played(3)
    save(folder, records, tape)
    add_extras(folder, records, tape)
    return folder


@pytest.fixture(autouse=True)
def without_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without the megabytes of the library for charts, which are the same in all of them."""
    monkeypatch.setattr(page, "_plotly", lambda: "")


@pytest.fixture
def run(written: Path, tmp_path: Path) -> Path:
    shutil.copytree(written, tmp_path / "run")
    return tmp_path / "run"


def rewrite(path: Path, change: Callable[[Any], object]) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values), encoding="utf-8")


def without(path: Path, name: str) -> None:
    """Take a key out of the metrics of references, or out of the rows of a cost stress."""

    def take_out(values: Any) -> None:
        rows = [one["metrics"] for one in values.get("references", ())]
        others = values.get("spread_model", {}).values()
        for row in [*rows, *values.get("costs", ()), values.get("one_hour_late", {}), *others]:
            row.pop(name, None)

    rewrite(path, take_out)


def page_of(folder: Path) -> str:
    """The page of a run, after everything else that shows it."""
    found, extras = read_run(folder), read_extras(folder)
    assert not STRAY.search(" ".join(story_of(found, extras).cells))
    assert not STRAY.search(" ".join(cells(COLUMNS, found.metrics)))
    compared = comparison_page([Compared(found, extras), Compared(found, extras)])
    text_of_run = run_page(found, extras)
    for text in (compared, text_of_run):
        seen = re.sub(r"<(script|style)\b.*?</\1>|<[^>]+>", " ", text.partition("manifest.json")[0], flags=re.DOTALL)
        assert not STRAY.search(seen), STRAY.search(seen)
    return text_of_run


REPORTED = ("pnl_usd", "pnl_pct", "pnl_pct_per_7d", "trades", "sharpe", "funding_usd", "price_pnl_usd", "stale_hours")
"""Metrics that words depend on; the rest only stands in cells."""


@pytest.mark.parametrize(
    "missing", [*((name,) for name in REPORTED), tuple(set(METRIC_NAMES) - set(REPORTED)), METRIC_NAMES]
)
def test_a_run_without_a_metric_shows_a_dash(run: Path, missing: tuple[str, ...]) -> None:
    rewrite(run / "metrics.json", lambda values: [values.pop(one) for one in missing])
    text = page_of(run)
    for metric, heading in DASHES.items():
        value = re.search(rf'<dt>{heading}</dt>\s*<dd class="value">([^<]*)</dd>', text)
        assert value is not None, heading
        assert (value[1] == "\u2013") == (metric in missing or read_run(run).metrics[metric] is None)


@pytest.mark.parametrize("missing", [("pnl_usd",), ("pnl_pct",), ("trades",), KEPT])
def test_extras_without_a_metric_show_a_dash(run: Path, missing: tuple[str, ...]) -> None:
    for name in missing:
        without(run / "references.json", name)
        without(run / "cost_stress.json", name)
    page_of(run)


def test_extras_without_words_of_later_versions_are_read(run: Path) -> None:
    rewrite(run / "significance.json", lambda values: [values.pop(key) for key in list(values) if key != "trials"])
    rewrite(run / "cost_stress.json", lambda values: [values.pop("break_even_multiple"), values.pop("one_hour_late")])
    entries = (run / "entries.csv").read_text().splitlines()
    (run / "entries.csv").write_text("\n".join(line.split(",")[0] for line in entries) + "\n")
    page_of(run)


@pytest.mark.parametrize("key", ["dataset", "cost_table", "packages", "started", "seed", "strategy", "command"])
def test_a_manifest_that_says_less_is_read(run: Path, key: str) -> None:
    rewrite(run / "manifest.json", lambda values: values.pop(key))
    page_of(run)


def test_the_command_line_reads_older_runs_and_refuses_newer_ones(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(run / "metrics.json", lambda values: [values.pop("liquidations"), values.pop("sharpe")])
    shutil.copytree(run, tmp_path / "other")
    assert arb("report", run) == 0
    assert arb("report", run, tmp_path / "other", "--out", tmp_path / "both.html") == 0
    assert arb("compare", run, tmp_path / "other", "--out", tmp_path / "compared") == 0
    capsys.readouterr()
    rewrite(run / "manifest.json", lambda values: values.update(format=RUN_FORMAT + 7))
    for words in (("report", run), ("compare", run, tmp_path / "other")):
        assert arb(*words) == 2
        told = capsys.readouterr().err.strip()
        assert "newer version of arb" in told
        assert "\n" not in told
