"""Charts as plain SVG text: axes, lines, bars and marks on panels that share their hours.

For pictures that must be one file without scripts, as in a model card; pages draw theirs in the browser.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from engine.market.data import Floats, Ints
from engine.windows import time_of

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
BACKGROUND, INK, MUTED, LINE, GRID = "#ffffff", "#17202a", "#5b6673", "#c4ccd5", "#e7ebf0"
MOST_DATES = 8
HOUR_STEPS = (1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 672, 1344, 2688, 8760)


def text(x: float, y: float, words: str, *, size: float = 11, colour: str = MUTED, anchor: str = "start") -> str:
    """Words at a place; ``anchor`` is start, middle or end."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{colour}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )


def heading(x: float, y: float, words: str, *, size: float = 12, anchor: str = "start") -> str:
    """Bold words, readable over lines too."""
    halo = f'paint-order="stroke" stroke="{BACKGROUND}" stroke-width="3" font-weight="650"'
    return text(x, y, words, size=size, colour=INK, anchor=anchor).replace("<text ", f"<text {halo} ", 1)


def line(x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1, dash: str = "") -> str:
    """A straight line."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{colour}" stroke-width="{width:g}"{dashes}/>'


def nice_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """At most ``most`` + 1 round numbers from ``low`` to ``high``, evenly spaced. Needs ``low < high``."""
    raw = (high - low) / most
    size = 10.0 ** math.floor(math.log10(raw))
    step = next((factor * size for factor in (1, 2, 5) if factor * size >= raw * (1 - 1e-9)), 10 * size)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def date_ticks(first: int, last: int, most: int = MOST_DATES) -> list[tuple[int, str]]:
    """At most about ``most`` hours of a span at whole steps, with their dates; hours of day where steps are shorter."""
    step = next((one for one in HOUR_STEPS if (last - first) / one <= most), HOUR_STEPS[-1])
    form = "%Y-%m-%d" if step >= 24 else "%m-%d %H:%M"
    return [(hour, f"{time_of(hour):{form}}") for hour in range(-(-first // step) * step, last + 1, step)]


@dataclass(frozen=True)
class Panel:
    """A rectangle in which hours run to the right and values up. ``low < high``, and ``first < last``."""

    left: float
    top: float
    width: float
    height: float
    first: int
    last: int
    low: float
    high: float

    def x(self, hour: float) -> float:
        """Place of an hour."""
        return self.left + self.width * (hour - self.first) / (self.last - self.first)

    def y(self, value: float) -> float:
        """Place of a value."""
        return self.top + self.height * (1 - (value - self.low) / (self.high - self.low))

    @property
    def bottom(self) -> float:
        return self.top + self.height

    def axis(self, title: str) -> Iterator[str]:
        """Title, lines at round values with their numbers, and where it lies inside a darker line at zero."""
        ticks = nice_ticks(self.low, self.high, most=4)
        places = max(0, -math.floor(math.log10(ticks[1] - ticks[0]))) if len(ticks) > 1 else 0
        yield heading(self.left, self.top - 8, title)
        for tick in ticks:
            colour = LINE if tick == 0 else GRID
            yield line(self.left, self.y(tick), self.left + self.width, self.y(tick), colour)
            label = f"{tick + 0.0:,.{places}f}".replace("-", "\u2212")
            yield text(self.left - 8, self.y(tick) + 4, label, anchor="end")

    def dates(self) -> Iterator[str]:
        """Dates beneath."""
        for hour, label in date_ticks(self.first, self.last):
            yield line(self.x(hour), self.bottom, self.x(hour), self.bottom + 4, LINE)
            yield text(self.x(hour), self.bottom + 17, label, anchor="middle")

    def curve(self, hours: Ints, values: Floats, colour: str, *, width: float = 1.6, dash: str = "") -> str:
        """A line through what is known; what is not leaves a gap."""
        parts, begins = [], True
        for hour, value in zip(hours, values, strict=True):
            if math.isnan(value):
                begins = True
                continue
            parts.append(f"{'M' if begins else 'L'}{self.x(hour):.1f} {self.y(value):.1f}")
            begins = False
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        return (
            f'<path d="{"".join(parts)}" fill="none" stroke="{colour}" stroke-width="{width:g}" '
            f'stroke-linejoin="round"{dashes}/>'
        )

    def bars(self, hours: Ints, values: Floats, colour: str) -> str:
        """Bars from zero, none for zero, never thinner than can be seen."""
        width = min(max(0.7 * self.width / (self.last - self.first), 1.2), 8.0)
        zero = self.y(0.0)
        shown = [(self.x(hour), self.y(value)) for hour, value in zip(hours, values, strict=True) if value != 0]
        parts = "".join(f"M{x:.1f} {zero:.1f}V{y:.2f}" for x, y in shown)
        return f'<path d="{parts}" fill="none" stroke="{colour}" stroke-width="{width:.1f}"/>' if parts else ""

    def dot(self, hour: float, value: float, colour: str) -> str:
        """A mark at a value; nothing where it is not known."""
        if math.isnan(value):
            return ""
        return (
            f'<circle cx="{self.x(hour):.1f}" cy="{self.y(value):.1f}" r="4" fill="{colour}" '
            f'stroke="{BACKGROUND}" stroke-width="1.5"/>'
        )


def bounds(*series: Sequence[float] | Floats, zero: bool = False) -> tuple[float, float]:
    """Lowest and highest of all that is known, with some room; with ``zero`` that lies inside too."""
    known = [0.0] if zero else []
    known += [float(one) for values in series for one in values if math.isfinite(one)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    room = 0.06 * (high - low) or max(1e-3 * abs(high), 0.5)
    return low - room, high + room


def picture(width: int, height: int, label: str, parts: Sequence[str]) -> str:
    """A whole document with a background of its own, so that it reads the same on light and dark pages."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" role="img" aria-label="{escape(label, {chr(34): "&quot;"})}" font-family="{FONT}">',
            f'<rect width="{width}" height="{height}" fill="{BACKGROUND}"/>',
            *(part for part in parts if part),
            "</svg>\n",
        ]
    )


def legend(right: float, y: float, keys: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Colours with their words, in their order, ending at ``right``."""
    for words, colour in reversed(keys):
        yield text(right, y, words, anchor="end")
        # Letters are about half as wide as they are high.
        right -= 5.8 * len(words) + 6
        yield line(right - 12, y - 4, right, y - 4, colour, width=3)
        right -= 28
