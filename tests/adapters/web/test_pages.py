"""The pages in a real browser: whole at every size, told by nobody else, fresh when an hour is committed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support_browser import SCHEMES, SIZES, launched
from support_web import client, deployed, go_on, journal, listening, played_state, serving

from adapters.paper.recorded_run import records_of
from adapters.web.serving import Serving
from engine.windows import time_of


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as running:
        yield running


@pytest.fixture(scope="module")
def address(served: Serving) -> Iterator[str]:
    with listening(served) as found:
        yield found


@pytest.fixture(scope="module")
def paths(served: Serving) -> list[str]:
    with journal(served) as state:
        trade = records_of(state, 0).trades[2]
        held = state.snapshot().report["positions"][0]["id"]  # type: ignore[union-attr]  # hours were played
    hour = f"{time_of(int(trade['opened'])):%Y-%m-%dT%H:%MZ}"
    return [
        "/", "/opportunities", "/opportunities?sort=payback&min_apr=1", "/trades", f"/positions/{trade['position_id']}",
        f"/positions/{held}", f"/hours/{hour}", "/runs", "/models", "/api", "/login",
    ]  # fmt: skip


class Opened:
    """A page with every foreign request and every complaint."""

    def __init__(self, browser: Any, address: str, size: str = "desktop", scheme: str = "light", **more: Any) -> None:
        width, height = SIZES[size]
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **more)
        self.page, self.foreign, self.complaints = self.context.new_page(), [], []
        self.page.on("request", lambda asked: self.foreign.append(asked.url) if not _own(asked.url, address) else None)
        self.page.on("console", lambda line: self.complaints.append(f"{line.type}: {line.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))


def _own(url: str, address: str) -> bool:
    return url.startswith((address, "data:"))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
def test_every_page_is_whole_at_every_size(
    browser: Any, address: str, paths: list[str], size: str, scheme: str
) -> None:
    opened = Opened(browser, address, size, scheme)
    try:
        for path in paths:
            answer = opened.page.goto(address + path)
            assert answer.status == 200, path
            opened.page.wait_for_selector("h1")
            for chart in opened.page.query_selector_all("[data-chart]"):
                chart.wait_for_selector("canvas, .empty")
            wide = opened.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, f"{path} is {wide} px too wide"
            cut = opened.page.evaluate(CUT)
            assert cut == [], path
        assert opened.foreign == []
        assert opened.complaints == []
    finally:
        opened.context.close()


CUT = """() => {
  const texts = [...document.querySelectorAll("main :is(td, th, dd, dt, h2, p, li)")];
  const cut = (one) => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== "inline";
  return texts.filter((one) => cut(one) && !one.closest(".scroll, .plot")).map((one) => one.textContent.slice(0, 60));
}"""
"""Texts that are wider than their place and do not scroll."""


def test_tables_scroll_in_themselves_on_a_phone(browser: Any, address: str) -> None:
    opened = Opened(browser, address, "phone")
    try:
        opened.page.goto(f"{address}/trades")
        found = opened.page.locator(".scroll")
        scroll, width = (found.evaluate(f"(one) => one.{name}") for name in ("scrollWidth", "clientWidth"))
        assert scroll > width
    finally:
        opened.context.close()


def test_without_scripts_everything_is_there_but_the_curves(browser: Any, address: str, paths: list[str]) -> None:
    opened = Opened(browser, address, java_script_enabled=False)
    try:
        for path in paths:
            assert opened.page.goto(address + path).status == 200
            assert len(opened.page.inner_text("main")) > 20
        opened.page.goto(address)
        assert "Open positions" in opened.page.inner_text("main")
        assert "needs a script" in opened.page.inner_text("main")
        assert opened.foreign == []
    finally:
        opened.context.close()


def test_the_page_of_a_planted_name_runs_nothing(served: Serving) -> None:
    with client(served) as asking:
        for path in ("/hours/%3Cscript%3Ealert(1)%3C/script%3E", "/positions/%22%3E%3Cimg%20src=x%3E", "/%3Cscript%3E"):
            answer = asking.get(path, headers={"accept": "text/html"})
            assert answer.status_code in (404, 422)
            assert "<script>alert" not in answer.text
            assert "<img" not in answer.text


def test_an_hour_that_is_committed_shows_by_itself_and_a_lost_server_is_told(browser: Any, tmp_path: Path) -> None:
    played_state(tmp_path / "state", until=60)
    deployed(tmp_path / "models")
    of = serving(tmp_path)
    with listening(of) as address:
        opened = Opened(browser, address)
        opened.page.clock.install()
        opened.page.goto(address)
        with journal(of) as state:
            before = state.last_hour
        assert before is not None
        last = opened.page.locator("#health")
        assert last.get_attribute("data-hour") == f"{time_of(before):%Y-%m-%dT%H:%MZ}"
        # The page listens before the next hour is played: its stream is open when the first answer to it has come.
        opened.page.wait_for_function("performance.getEntriesByName(location.origin + '/healthz') || true")
        go_on(tmp_path / "state", 64)
        told = f"{time_of(before + 4):%Y-%m-%dT%H:%MZ}"
        opened.page.wait_for_function(
            "(told) => document.querySelector('#health').dataset.hour === told", arg=told, timeout=20_000
        )
        assert told.replace("T", " ").removesuffix("Z") in opened.page.inner_text("header")
        port = int(address.rsplit(":", 1)[1])
    try:
        opened.page.clock.run_for(31_000)
        opened.page.wait_for_selector("#lost:not([hidden])", timeout=20_000)
        assert "not answered since" in opened.page.inner_text("#lost")
        assert "Open positions" in opened.page.inner_text("main")  # the last state stays readable
        go_on(tmp_path / "state", 70)
        with listening(of, port):
            opened.page.clock.run_for(6_000)
            opened.page.wait_for_selector("#lost[hidden]", state="attached", timeout=20_000)
            told = f"{time_of(before + 10):%Y-%m-%dT%H:%MZ}"
            opened.page.wait_for_function(
                "(told) => document.querySelector('#health').dataset.hour === told", arg=told, timeout=20_000
            )
        assert opened.foreign == []
    finally:
        opened.context.close()


def test_a_replay_and_synthetic_data_say_so_at_the_top(served: Serving) -> None:
    with client(served) as asking:
        assert "A replay: hours of a data set" in asking.get("/").text


def test_an_empty_place_has_empty_pages_and_no_invented_numbers(tmp_path: Path) -> None:
    with client(serving(tmp_path)) as asking:
        front = asking.get("/")
        assert front.status_code == 200
        assert "no paper trading state yet" in front.text
        assert "USD</dt>" not in front.text
        assert "No run lies" in asking.get("/runs").text
        assert "No model is deployed" in asking.get("/models").text
        assert asking.get("/trades", headers={"accept": "text/html"}).status_code == 404
