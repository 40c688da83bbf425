"""The picture of a trade: one document, everything inside it, marks where entry and exit are."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from support_environment import FIRST, LAST, builder, random_policy

from adapters.reporting.trade_picture import HEIGHT, LEFT, RIGHT, WIDTH, title, trade_picture
from adapters.research.players import policy_player
from adapters.research.playing import play
from adapters.research.trade_path import TradePath, trade_path
from engine.windows import Window, time_of

NUMBERS = re.compile(r"[MLV]([\d.]+) ?([\d.]+)?")


def paths(**rules: object) -> list[TradePath]:
    world = builder(**rules)
    played = play(policy_player(random_policy(4)), world, Window(FIRST, LAST))
    return [trade_path(played.records, world.tape, k) for k in range(len(played.trades))]


@pytest.fixture(scope="module", params=["at once", "failing legs"])
def trades(request: pytest.FixtureRequest) -> list[TradePath]:
    found = paths(**({} if request.param == "at once" else {"leg_failure_probability": 0.4}))
    assert len(found) > 4
    return found


def test_it_is_one_document_that_needs_nothing(trades: list[TradePath]) -> None:
    for path in trades:
        drawn = trade_picture(path)
        root = ElementTree.fromstring(drawn)
        assert root.tag.endswith("svg")
        assert root.attrib["viewBox"] == f"0 0 {WIDTH} {HEIGHT}"
        names = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert names <= {"svg", "rect", "text", "path", "circle"}
        assert "href" not in drawn
        values = " ".join(value for element in root.iter() for value in element.attrib.values() if value != title(path))
        assert not re.search(r"\b(nan|inf)\b", values)


def test_everything_lies_inside_it(trades: list[TradePath]) -> None:
    for path in trades:
        root = ElementTree.fromstring(trade_picture(path))
        for element in root.iter():
            for x, y in NUMBERS.findall(element.attrib.get("d", "")):
                assert 0 <= float(x) <= max(WIDTH, HEIGHT)
                assert not y or 0 <= float(y) <= HEIGHT
            assert 0 <= float(element.attrib.get("x", 0)) <= WIDTH
            assert 0 <= float(element.attrib.get("y", 0)) <= HEIGHT


def test_entry_and_exit_are_marked_in_every_panel(trades: list[TradePath]) -> None:
    for path in trades:
        drawn = trade_picture(path)
        first, last = int(path.hours[0]), int(path.hours[-1])
        for hour in (path.opened, path.closed):
            x = LEFT + (WIDTH - LEFT - RIGHT) * (hour - first) / (last - first)
            assert drawn.count(f'<path d="M{x:.1f} ') >= 4
        assert ">entry</text>" in drawn
        assert ">exit</text>" in drawn


def test_the_title_says_coin_legs_dates_and_profit(trades: list[TradePath]) -> None:
    path = trades[0]
    drawn = trade_picture(path)
    coin = path.symbol.removesuffix("USDT")
    assert title(path).startswith(f"{coin}: long {path.long_exchange}, short {path.short_exchange}: ")
    words = [
        *title(path).split(),
        f"{time_of(path.opened):%Y-%m-%d %H:%M} to {time_of(path.closed):%Y-%m-%d %H:%M} UTC",
    ]
    assert all(word in drawn for word in words)
    assert f"{abs(path.made_usd):,.2f} USD" in drawn


def test_settlements_are_bars_of_their_size(trades: list[TradePath]) -> None:
    received = paid = 0
    for path in trades:
        drawn = trade_picture(path)
        by_colour = {
            colour: len(re.findall(r"M[\d.]+ [\d.]+V", part))
            for part, colour in re.findall(r'<path d="([^"]*V[^"]*)" fill="none" stroke="(#\w+)"', drawn)
        }
        hours = {"#009e73": path.settled[path.funding > 0], "#d55e00": path.settled[path.funding < 0]}
        for colour, at in hours.items():
            assert by_colour.get(colour, 0) == len(np.unique(at))
        received, paid = received + by_colour.get("#009e73", 0), paid + by_colour.get("#d55e00", 0)
    assert min(received, paid) > 0
