"""A trade as one picture: both prices, the spread between them, settlements, and what it made."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from adapters.reporting import svg
from adapters.reporting.page.numbers import number
from adapters.reporting.svg import INK, MUTED, Panel
from adapters.research.trade_path import TradePath
from engine.market.data import Floats
from engine.windows import time_of

WIDTH, HEIGHT = 960, 792
LEFT, RIGHT = 66, 24
FIRST_TOP, GAP = 118, 40
ROOM = 40
"""For the word beside entry or exit."""
LONG, SHORT, GAIN, LOSS = "#0072b2", "#c77700", "#009e73", "#d55e00"
HELD = "#f3f6fa"


def trade_picture(path: TradePath) -> str:
    """One SVG document without scripts or links."""
    heights = {"prices": 176, "spread": 120, "funding": 110, "pnl": 130}
    bps = 1e4 / path.notional_usd
    rebased = [100 * price / _at_entry(path, price) for price in (path.long_price, path.short_price)]
    spread = 1e4 * (path.short_price - path.long_price) / path.long_price
    up, down = _settled(path, bps)
    panels = _panels(
        path,
        heights,
        {
            "prices": svg.bounds(*rebased),
            "spread": svg.bounds(spread, _fills(path)),
            "funding": svg.bounds(up, down, zero=True),
            "pnl": svg.bounds(bps * path.pnl_usd, zero=True),
        },
    )
    parts = [*_head(path), *(_background(path, panel) for panel in panels.values())]
    parts += [*_prices(path, panels["prices"], rebased), *_spread(path, panels["spread"], spread)]
    parts += [*_funding(path, panels["funding"], (up, down)), *_pnl(path, panels["pnl"], bps)]
    for panel in panels.values():
        parts += [
            svg.line(panel.x(hour), panel.top, panel.x(hour), panel.bottom, MUTED, dash="3 3")
            for hour in (path.opened, path.closed)
        ]
    parts += _ends(path, panels["prices"])
    return svg.picture(WIDTH, HEIGHT, title(path), [*parts, *panels["pnl"].dates()])


def title(path: TradePath) -> str:
    """Coin, legs and P&L."""
    coin = path.symbol.removesuffix("USDT")
    return (
        f"{coin}: long {path.long_exchange}, short {path.short_exchange}: {number(path.made_usd, 2, signed=True)} USD"
    )


def _head(path: TradePath) -> Iterator[str]:
    bps = 1e4 / path.notional_usd
    begin, end = (f"{time_of(hour):%Y-%m-%d %H:%M}" for hour in (path.opened, path.closed))
    hours = path.closed - path.opened
    made = {"price": path.price_usd, "funding": path.funding_usd, "fees": -path.fees_usd}
    yield svg.heading(LEFT, 36, title(path), size=20)
    yield svg.text(LEFT, 58, f"{begin} to {end} UTC, {hours:,} hours; left: {path.reason.replace('_', ' ')}", size=13)
    split = ", ".join(f"{name} {number(usd, 2, signed=True)}" for name, usd in made.items())
    total = number(bps * path.made_usd, 1, signed=True)
    size = number(path.notional_usd, 0)
    yield svg.text(LEFT, 78, f"USD: {split}; {total} bps of a leg of {size} USD", size=13)


def _ends(path: TradePath, panel: Panel) -> Iterator[str]:
    """Entry and exit in words beside their lines, outside the time held where there is room."""
    for hour, word, outside in ((path.opened, "entry", "end"), (path.closed, "exit", "start")):
        x, inside = panel.x(hour), "start" if outside == "end" else "end"
        room = x - panel.left if outside == "end" else panel.left + panel.width - x
        anchor = outside if room > ROOM else inside
        yield svg.heading(x + (5 if anchor == "start" else -5), panel.top + 14, word, anchor=anchor)


def _panels(path: TradePath, heights: dict[str, int], values: dict[str, tuple[float, float]]) -> dict[str, Panel]:
    first, last, top, found = int(path.hours[0]), int(path.hours[-1]), float(FIRST_TOP), {}
    for name, height in heights.items():
        found[name] = Panel(LEFT, top, WIDTH - LEFT - RIGHT, height, first, last, *values[name])
        top += height + GAP
    return found


def _background(path: TradePath, panel: Panel) -> str:
    begin, end = panel.x(path.opened), panel.x(path.closed)
    return (
        f'<rect x="{begin:.1f}" y="{panel.top:.1f}" width="{end - begin:.1f}" height="{panel.height:.1f}" '
        f'fill="{HELD}"/>'
    )


def _prices(path: TradePath, panel: Panel, rebased: list[Floats]) -> Iterator[str]:
    yield from panel.axis("last prices, 100 at entry")
    yield panel.curve(path.hours, rebased[0], LONG)
    # Dashed over the other: where both are the same, both are seen.
    yield panel.curve(path.hours, rebased[1], SHORT, dash="5 3")
    keys = [(f"long {path.long_exchange}", LONG), (f"short {path.short_exchange}", SHORT)]
    yield from svg.legend(WIDTH - RIGHT, panel.top - 8, keys)


def _spread(path: TradePath, panel: Panel, spread: Floats) -> Iterator[str]:
    yield from panel.axis("spread, short above long, bps; dots: what the fills got")
    yield panel.curve(path.hours, spread, INK, width=1.2)
    for hour, value in zip((path.opened, path.closed), _fills(path), strict=True):
        yield panel.dot(hour, value, LOSS)


def _funding(path: TradePath, panel: Panel, sums: tuple[Floats, Floats]) -> Iterator[str]:
    yield from panel.axis("settlements, bps of a leg")
    for values, colour in zip(sums, (GAIN, LOSS), strict=True):
        yield panel.bars(path.hours, values, colour)
    yield from svg.legend(WIDTH - RIGHT, panel.top - 8, [("received", GAIN), ("paid", LOSS)])


def _pnl(path: TradePath, panel: Panel, bps: float) -> Iterator[str]:
    yield from panel.axis("P&L so far, bps of a leg, fees of the fills included")
    within = path.hours >= path.opened
    values = bps * path.pnl_usd
    yield panel.curve(path.hours[within], values[within], LONG, width=1.2 if len(values) > 500 else 2)
    last = int(path.hours[-1])
    yield panel.dot(last, float(values[-1]), LONG)
    words = f"{number(path.made_usd, 2, signed=True)} USD"
    yield svg.heading(WIDTH - RIGHT, panel.top - 8, words, anchor="end")


def _at_entry(path: TradePath, price: Floats) -> float:
    return float(price[path.hours == path.opened][0])


def _fills(path: TradePath) -> tuple[float, float]:
    """Spread between the fills of both legs at entry and exit, bps; nan where one leg had none."""
    entry, left = (1e4 * (short - long) / long for long, short in (path.entry, path.exit))
    return entry, left


def _settled(path: TradePath, bps: float) -> tuple[Floats, Floats]:
    """What was received and what was paid at every hour, bps of a leg."""
    at = np.asarray(path.settled - path.hours[0])
    parts = []
    for amounts in (np.maximum(path.funding, 0.0), np.minimum(path.funding, 0.0)):
        sums = np.zeros(len(path.hours))
        np.add.at(sums, at, bps * amounts)
        parts.append(sums)
    return parts[0], parts[1]
