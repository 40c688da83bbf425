"""The report in a real browser: opened from disk, offline, with every request and every line of the console heard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support_browser import SCHEMES, SIZES, launched
from support_report import add_extras, nothing, played, save

from adapters.reporting.page.extras import Extras
from adapters.reporting.page.page import run_page, write_page, write_report
from adapters.reporting.page.write import compare
from adapters.storage.saved_run import read_run

EVIL = "</script><script>alert('x')</script><b>&amp;"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as running:
        yield running


@dataclass
class Opened:
    """A page with what it asked for and what it complained about."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def draw(self) -> None:
        self.page.evaluate("drawAll()")


OpenPage = Callable[..., Opened]


@contextmanager
def opener(browser: Any) -> Iterator[OpenPage]:
    """What opens pages, each in a context of its own; all are closed at the end."""
    contexts = []

    def open_(path: Path, size: str = "desktop", scheme: str = "light") -> Opened:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, offline=True, service_workers="block"
        )
        contexts.append(context)
        opened = Opened(context.new_page())
        opened.page.on("request", lambda request: opened.requests.append(request.url))
        opened.page.on("console", lambda line: opened.complaints.append(f"{line.type}: {line.text}"))
        opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.page.on("dialog", lambda dialog: (opened.complaints.append("a dialog"), dialog.dismiss()))
        opened.page.goto(path.as_uri())
        return opened

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[OpenPage]:
    with opener(browser) as open_:
        yield open_


@pytest.fixture(scope="module")
def reports(browser: Any, report: Path) -> Iterator[dict[tuple[str, str], Opened]]:
    """The report in every size and scheme with all charts drawn, opened once: to draw it takes the browser seconds."""
    with opener(browser) as open_:
        opened = {(size, scheme): open_(report, size, scheme) for size in SIZES for scheme in SCHEMES}
        for page in opened.values():
            page.draw()
        yield opened


@pytest.fixture
def desktop(reports: dict[tuple[str, str], Opened]) -> Opened:
    """The report on a desktop, with everything drawn; a test leaves its filter empty and its calendar at hours."""
    return reports["desktop", "light"]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    records, tape = played(3, hours=150)
    folder = tmp_path_factory.mktemp("runs") / "run"
    save(folder, records, tape)
    add_extras(folder, records, tape)
    return write_report(folder)


def is_quiet(opened: Opened) -> bool:
    """No line in the console, and nothing asked of anybody but the file itself (and its empty icon)."""
    asked = [url for url in opened.requests if not url.startswith("data:")]
    assert opened.complaints == []
    assert len(asked) == 1, asked
    return asked[0].startswith("file://")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
def test_it_opens_from_disk_without_error_or_request(
    reports: dict[tuple[str, str], Opened], size: str, scheme: str
) -> None:
    opened = reports[size, scheme]
    assert is_quiet(opened)
    charts = opened.page.evaluate("BOXES.map(box => [box.dataset.chart, box.querySelectorAll('.main-svg').length])")
    assert len(charts) == 8
    assert all(drawn for _, drawn in charts), charts
    # The page itself never scrolls sideways; wide tables do so in their boxes.
    assert opened.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert opened.page.evaluate("[...document.querySelectorAll('table')].every(t => t.closest('.scroll'))")


def test_charts_hold_the_data(desktop: Opened, report: Path) -> None:
    opened, run = desktop, read_run(report.parent)
    ends = opened.page.evaluate("DATA.curves.map(c => floats(c.pct).at(-1))")
    assert ends[0] == pytest.approx(float(run.metrics["pnl_pct"] or 0), rel=1e-6)
    sums = opened.page.evaluate("DATA.calendar.hours.flatMap(r => [...floats(r)]).reduce((a, b) => a + b, 0)")
    assert sums == pytest.approx(float(run.metrics["funding_usd"] or 0), rel=1e-4, abs=1e-3)
    bars = opened.page.evaluate("document.querySelector('[data-chart=positions]').data[0].y.length")
    assert bars == len(run.trades)


def cells(opened: Opened, column: int) -> list[str]:
    found: list[str] = opened.page.evaluate(
        f"[...document.querySelectorAll('#trade-table tbody tr')].map(row => row.cells[{column}].textContent)"
    )
    return found


def as_number(text: str) -> float:
    return float(text.replace(",", "").replace("\u2212", "-"))


def test_a_click_on_any_head_sorts_the_trades(desktop: Opened) -> None:
    opened, heads = desktop, desktop.page.query_selector_all("#trade-table thead th")
    before = sorted(cells(opened, 15))
    assert len(before) > 5
    for k, head in enumerate(heads):
        is_number = "n" in head.get_attribute("class").split()
        for expected in ("descending", "ascending") if is_number else ("ascending", "descending"):
            head.query_selector("button").click()
            assert head.get_attribute("aria-sort") == expected
            known = [cell for cell in cells(opened, k) if cell != "\u2013"]
            values: list[Any] = [as_number(cell) for cell in known] if is_number else known
            assert values == sorted(values, reverse=expected == "descending"), head.inner_text()
    assert len(opened.page.query_selector_all("#trade-table [aria-sort]")) == 1
    assert sorted(cells(opened, 15)) == before
    assert is_quiet(opened)


def test_other_tables_sort_too(desktop: Opened) -> None:
    opened, table = desktop, "#quality .two > div:first-child table.sortable"
    opened.page.click(f"{table} thead th:last-child button")
    numbers = opened.page.evaluate(
        f"[...document.querySelectorAll('{table} tbody tr')].map(r => +r.cells[3].dataset.v)"
    )
    assert numbers == sorted(numbers, reverse=True)
    opened.page.click(f"{table} thead th:last-child button")
    again = opened.page.evaluate(f"[...document.querySelectorAll('{table} tbody tr')].map(r => +r.cells[3].dataset.v)")
    assert again == numbers[::-1]


def test_trades_are_filtered_by_what_is_typed(desktop: Opened, report: Path) -> None:
    opened, trades = desktop, read_run(report.parent).trades
    coin = trades["symbol"].iloc[0]
    opened.page.fill("#filter", coin.lower())
    assert set(cells(opened, 0)) == {coin}
    assert len(cells(opened, 0)) == (trades["symbol"] == coin).sum()
    opened.page.fill("#filter", "no such coin")
    assert cells(opened, 0) == []
    assert opened.page.inner_text("#found").startswith("0 of ")
    opened.page.fill("#filter", "")
    assert len(cells(opened, 0)) == len(trades)


def test_light_and_dark_follow_the_system_and_the_switch(reports: dict[tuple[str, str], Opened]) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light, dark = reports["desktop", "light"], reports["desktop", "dark"]
    shades = [opened.page.evaluate(background) for opened in (light, dark)]
    assert shades[0] != shades[1]
    dark.page.click("#theme")
    assert dark.page.inner_text("#theme") == "Theme: light"
    assert dark.page.evaluate(background) == shades[0]
    dark.page.click("#theme")
    assert dark.page.evaluate(background) == shades[1]
    dark.page.click("#theme")
    assert dark.page.inner_text("#theme") == "Theme: auto"
    assert dark.page.evaluate(background) == shades[1]
    assert is_quiet(dark)


def test_the_calendar_turns_to_coins(desktop: Opened, report: Path) -> None:
    opened, rows = desktop, "document.querySelector('[data-chart=calendar]').data[0].y"
    assert opened.page.evaluate(f"{rows}.length") == 24
    opened.page.click("[data-calendar=coins]")
    opened.draw()
    assert set(opened.page.evaluate(rows)) <= set(read_run(report.parent).trades["symbol"])
    opened.page.click("[data-calendar=hours]")
    opened.draw()
    assert opened.page.evaluate(f"{rows}.length") == 24
    assert is_quiet(opened)


@pytest.mark.parametrize("kind", ["nothing traded", "evil name"])
def test_odd_runs_open_without_error(open_page: OpenPage, tmp_path: Path, kind: str) -> None:
    records, tape = played(3)
    if kind == "nothing traded":
        records = nothing(tape)
    run = save(tmp_path / "run", records, tape, strategy=EVIL)
    path = tmp_path / "report.html"
    write_page(path, run_page(run, Extras()))
    opened = open_page(path)
    opened.draw()
    assert is_quiet(opened)
    assert opened.page.inner_text("h1").startswith(EVIL)


def test_runs_side_by_side_open_without_error(open_page: OpenPage, report: Path, tmp_path: Path) -> None:
    records, tape = played(4)
    save(tmp_path / "other", records, tape)
    compare([report.parent, tmp_path / "other"], tmp_path / "compared.html")
    for size in SIZES:
        opened = open_page(tmp_path / "compared.html", size)
        opened.draw()
        assert is_quiet(opened)
        assert opened.page.evaluate("BOXES.every(box => box.querySelector('.main-svg'))")
        assert opened.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
