"""The page of a run: what it says, that it holds together without extras, and that no name can break it."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from plotly.offline import get_plotlyjs
from support_report import add_extras, cut, liquidated, nothing, played, save

from adapters.reporting.page.comparison import Compared, comparison_page, differences, labels
from adapters.reporting.page.extras import Extras, read_extras
from adapters.reporting.page.headline import figures, probabilities
from adapters.reporting.page.numbers import interval, number, pct, usd
from adapters.reporting.page.page import run_page, write_report
from adapters.reporting.page.story import signs, story
from adapters.reporting.page.terminal import Story, print_stories, story_of
from adapters.reporting.results_table import output_console
from adapters.storage.saved_run import SavedRun, read_run
from engine.errors import UserError

SECTIONS = ("summary", "equity", "attribution", "positions", "trades", "calendar", "stress", "quality", "manifest")
EVIL = "</script><script>alert('x')</script><b>&amp;"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    records, tape = played(3)
    save(tmp_path / "run", records, tape)
    add_extras(tmp_path / "run", records, tape)
    return tmp_path / "run"


def data_of(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL)
    found: dict[str, Any] = json.loads(text)
    return found


def text_of(page: str) -> str:
    """What a reader sees, without styles and scripts."""
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def page_of(folder: Path) -> str:
    return run_page(read_run(folder), read_extras(folder))


def test_a_report_is_a_pure_function_of_the_folder(folder: Path) -> None:
    path = write_report(folder)
    first = path.read_bytes()
    assert write_report(folder).read_bytes() == first
    assert len(first) < 6_000_000
    (library,) = re.findall(r'id="plotly">(.*?)</script>', first.decode())
    assert gzip.decompress(base64.b64decode(library)).decode() == get_plotlyjs()


def test_a_report_needs_no_network(folder: Path) -> None:
    page = page_of(folder)
    assert "default-src 'none'" in page
    assert not re.findall(r"https?://|\bsrc=|@import|url\(", page)
    assert re.findall(r'<link [^>]*href="([^"]*)"', page) == ["data:,"]


@pytest.mark.parametrize("kind", ["full", "without extras", "nothing traded", "still open", "one hour"])
def test_every_kind_of_run_has_every_section_and_no_stray_word(kind: str, tmp_path: Path) -> None:
    records, tape = played(5)
    if kind == "nothing traded":
        records = nothing(tape)
    elif kind == "still open":
        records = cut(records, int(records.ledger["hour"][len(records.ledger) // 2]))
    elif kind == "one hour":
        records = nothing(tape, hours=1)
    save(tmp_path / "run", records, tape)
    if kind == "full":
        add_extras(tmp_path / "run", records, tape)
    page = page_of(tmp_path / "run")
    assert re.findall(r'<section id="([a-z]+)"', page) == list(SECTIONS)
    seen = text_of(page)
    for stray in ("nan", "None", "undefined", "NaT", "Undefined", "inf %", "{{", "{%"):
        assert not re.search(rf"(?<![\w.]){re.escape(stray)}(?!\w)", seen.partition("manifest.json")[0]), stray
    assert data_of(page)["name"] == "scripted"


def test_no_name_can_end_the_script_or_become_markup(tmp_path: Path) -> None:
    records, tape = played(3)
    run = save(tmp_path / "run", records, tape, strategy=EVIL)
    page = run_page(run, Extras())
    assert "<script>alert" not in page
    assert page.count("</script") == 4  # the theme, the data, the scripts, the library
    assert "<b>&amp;" not in page
    assert data_of(page)["name"] == EVIL
    assert "&lt;/script&gt;" in page
    compared = comparison_page([Compared(run, Extras()), Compared(run, Extras())])
    assert "<script>alert" not in compared
    assert data_of(compared)["curves"][0]["name"].startswith(EVIL)


def test_the_headline_has_targets_and_intervals(folder: Path) -> None:
    run, extras = read_run(folder), read_extras(folder)
    run.metrics.update(pnl_pct=1.5, pnl_pct_per_7d=0.6, sharpe=0.9, win_rate_pct=50.0, profit_factor=2.5)
    run.metrics.update(avg_trade_hours=11.9, pnl_usd=150.0, initial_capital_usd=10_000.0)
    found = {figure.name: figure for figure in figures(run, extras)}
    assert (found["P&L"].value, found["P&L"].note) == ("+1.50 %", "90 %: \u22121.00 to +2.50")
    met = {name: figure.met for name, figure in found.items() if figure.target}
    assert met == {
        "P&L per 7 days": True, "Sharpe": False, "Win rate": False, "Profit factor": True, "Average trade": True,
    }  # fmt: skip
    share = 150.0 / (0.5 * run.initial_capital_usd)
    assert found["Of hindsight"].value == pct(100 * share, 1 if share < 0.1 else 0, signed=False)
    assert found["Of persistent hindsight"].note == "not played for this run"
    assert [figure.value for figure in probabilities(extras)] == ["70 %", "\u2013", "\u2013"]
    assert probabilities(extras)[1].note == "no record of trials"
    assert probabilities(Extras()) == []


def remarks(run: SavedRun, extras: Extras) -> str:
    return "\n".join(f"{remark.tone}: {remark.text}" for remark in story(run, extras))


def test_the_story_says_what_matters(folder: Path) -> None:
    run, extras = read_run(folder), read_extras(folder)
    said = remarks(run, extras)
    assert "zero lies inside, so luck alone could explain it" in said
    assert "break even at 2.5 times the costs" in said
    assert "Funding brought" in said
    assert ("was possible" in said) is (float(run.metrics["pnl_usd"] or 0) <= 0)
    assert "lost \u2212" not in said
    run.metrics.update(pnl_usd=900.0, pnl_pct=9.0, pnl_pct_per_7d=9.0, sharpe=12.0)
    said = remarks(run, extras)
    assert "bad: Looks like last-trade bounce: 9.00 % per 7 days; Sharpe 12.0" in said
    assert "above the target" in said
    run.manifest["knows_future"] = True
    assert signs(run, extras) == []
    assert "This run knew the future" in remarks(run, extras)


def test_what_was_tried_weighs_on_the_result(folder: Path) -> None:
    run, extras = read_run(folder), read_extras(folder)
    assert "were tried" not in remarks(run, extras)
    assert extras.significance is not None
    judged = dict(extras.significance) | {"deflated_sharpe": 0.01, "trials": 1288, "pbo": 0.22}
    said = remarks(run, Extras(significance=judged))
    assert "warn: 1,288 settings were tried before this one was chosen" in said
    assert "worthless ones is 0.01. Choosing the best of them overfits with probability 0.22." in said
    assert "good: 1,288" in remarks(run, Extras(significance=judged | {"deflated_sharpe": 0.96}))


def test_the_engine_s_own_liquidations_are_shown(tmp_path: Path) -> None:
    records, tape = liquidated()
    run = save(tmp_path / "run", records, tape)
    page = run_page(run, Extras())
    taken = run.trades[run.trades["exit_reason"] == "liquidation"]
    assert f"{len(taken)} position{'s' if len(taken) > 1 else ''} ended in liquidation" in text_of(page)
    assert "liquidation" in data_of(page)["trades"]["reason"]["words"]
    assert "liquidation_fee" in [part["key"] for part in data_of(page)["parts"]]


def test_liquidations_and_a_single_lucky_trade_are_told(folder: Path) -> None:
    run = read_run(folder)
    run.trades["exit_reason"] = "signal"
    run.ledger.loc[run.ledger["kind"] == "liquidation_fee", "kind"] = "fee"
    assert "ended in liquidation" not in remarks(run, Extras())
    run.trades.loc[run.trades.index[0], "exit_reason"] = "liquidation"
    run.trades.loc[run.trades.index[0], "pnl_usd"] = 80.0
    run.metrics["pnl_usd"] = 100.0
    run.trades.loc[run.trades.index[1:], "pnl_usd"] = 1.0
    said = remarks(run, Extras())
    assert "bad: 1 position ended in liquidation: P&L +80.00 USD." in said
    assert "One trade made +80.00 USD, 80 % of the P&L; without it +20.00 USD would be left." in said


def test_a_run_without_trades_says_so_and_nothing_more(tmp_path: Path) -> None:
    _, tape = played(3)
    run = save(tmp_path / "run", nothing(tape), tape)
    add_extras(tmp_path / "run", nothing(tape), tape)
    assert [remark.text for remark in story(run, read_extras(run.folder))] == [
        "scripted never traded in 2 days: no costs, no P&L."
    ]


def test_an_extra_file_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "cost_stress.json").write_text("[")
    with pytest.raises(UserError, match=r"cost_stress\.json cannot be read"):
        read_extras(folder)
    (folder / "cost_stress.json").unlink()
    assert read_extras(folder).stress is None


def test_what_is_an_upper_bound_is_called_one(folder: Path) -> None:
    run, extras = read_run(folder), read_extras(folder)
    page = run_page(run, extras)
    assert "upper bound: no plan for" in page
    assert "which orders that rest are filled" not in page
    run.manifest["settings"]["execution"] = "maker_then_hedge"
    extras.references[1]["is_exact"] = False  # type: ignore[index]
    page = run_page(run, extras)
    assert "which orders that rest are filled" in page
    assert "with the impact of the smallest size" in page


def test_a_reference_that_is_the_run_itself_is_left_out(folder: Path) -> None:
    run, extras = read_run(folder), read_extras(folder)
    assert [curve["name"] for curve in data_of(run_page(run, extras))["curves"]] == ["scripted", "hold", "hindsight"]
    extras.references[0]["name"], extras.references[0]["metrics"] = "scripted", run.metrics  # type: ignore[index]  # None only without a report
    extras = Extras(extras.references, extras.curves.rename(columns={"hold": "scripted"}))  # type: ignore[union-attr]  # None only without a report
    assert [curve["name"] for curve in data_of(run_page(run, extras))["curves"]] == ["scripted", "hindsight"]


def test_a_comparison_warns_of_what_makes_runs_incomparable(tmp_path: Path) -> None:
    records, tape = played(3)
    one = save(tmp_path / "one", records, tape)
    two = save(tmp_path / "two", cut(records, int(records.hours["hour"][-10])), tape)
    two.manifest["settings"]["slippage_bps"] = 99.0
    assert differences([one, one]) == []
    said = differences([one, two])
    assert said[0].startswith("The runs are not over the same hours")
    assert said[1] == "These settings differ: slippage_bps."
    assert labels([one, two]) == ["scripted (one)", "scripted (two)"]
    assert labels([one, one]) == ["scripted (one) 1", "scripted (one) 2"]
    page = comparison_page([Compared(one, Extras(), "one/report.html"), Compared(two, Extras())])
    assert 'href="one/report.html"' in page
    assert [curve["name"] for curve in data_of(page)["curves"]] == ["scripted (one)", "scripted (two)"]


def test_the_terminal_tells_it_in_a_hundred_columns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, extras = read_run(folder), read_extras(folder)
    run.manifest["strategy"] = "some_module:AStrategyWithAVeryLongName"
    short = story_of(run, extras)
    large = Story("hindsight", tuple("+12345" if cell.endswith("0") else "+123.45" for cell in short.cells))
    print_stories([short, large], console=output_console())
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert "\u2026" not in "".join(lines)
    assert (lines[0].split()[0], lines[0].split()[-1]) == ("funding", "late")
    assert lines[-1].split() == [large.name, *large.cells]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (usd(-0.004), "0.00 USD"),
        (usd(99.994), "+99.99 USD"),
        (usd(-1234.5), "\u22121,234 USD"),
        (usd(None), "\u2013"),
        (number(float("nan")), "\u2013"),
        (pct(-0.05, 1, signed=False), "\u22120.1 %"),
        (interval((-0.4, 3.3), 1, " %"), "\u22120.4 to +3.3 %"),
        (interval(None), "\u2013"),
    ],
)
def test_numbers_as_people_read_them(said: str, told: str) -> None:
    assert said == told
