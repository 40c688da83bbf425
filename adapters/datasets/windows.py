"""Named windows of a data set: the default split and the embargo between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from adapters.datasets.layout import NamedWindow, WindowName
from engine.errors import UserError
from engine.windows import hour_of, time_of

ORDER: tuple[WindowName, ...] = ("train", "validation", "test")
SHARES = (0.70, 0.15, 0.15)
EMBARGO_HOURS = 48
MIN_EMBARGO_HOURS = 24
SHORTEST_WINDOW_HOURS = 24


def default_windows(first: datetime, last: datetime) -> dict[WindowName, NamedWindow]:
    """70/15/15 in time with 48 h of embargo between; empty when a part would be shorter than a day."""
    start = hour_of(first)
    usable = hour_of(last) - start + 1 - 2 * EMBARGO_HOURS
    lengths = [int(usable * share) for share in SHARES]
    if min(lengths) < SHORTEST_WINDOW_HOURS:
        return {}
    windows: dict[WindowName, NamedWindow] = {}
    for name, length in zip(ORDER, lengths, strict=True):
        windows[name] = NamedWindow(start=time_of(start), end=time_of(start + length - 1))
        start += length + EMBARGO_HOURS
    return windows


@dataclass(frozen=True)
class WindowEdges:
    """First and last hours of windows as far as somebody stated them."""

    train_from: datetime | None = None
    train_to: datetime | None = None
    validate_from: datetime | None = None
    validate_to: datetime | None = None
    test_from: datetime | None = None
    test_to: datetime | None = None

    def over(
        self, known: Mapping[WindowName, NamedWindow], first: datetime, last: datetime
    ) -> dict[WindowName, NamedWindow]:
        """``known`` windows with the stated edges in their place.

        A training window that is new starts at ``first``, a new test window ends at ``last``; a new window that
        lacks another edge is a ``UserError``. A window of which nothing is stated or known is left out.
        """
        stated: dict[WindowName, tuple[datetime | None, datetime | None]] = {
            "train": (self.train_from, self.train_to),
            "validation": (self.validate_from, self.validate_to),
            "test": (self.test_from, self.test_to),
        }
        windows: dict[WindowName, NamedWindow] = {}
        for name, (start, end) in stated.items():
            if name in known:
                start, end = start or known[name].start, end or known[name].end
            elif start or end:
                start = start or (first if name == "train" else None)
                end = end or (last if name == "test" else None)
            if start or end:
                windows[name] = _window(name, start, end)
        return windows


def _window(name: str, start: datetime | None, end: datetime | None) -> NamedWindow:
    option = "validate" if name == "validation" else name
    if start is None or end is None:
        raise UserError(f"window {name} lacks an edge; give --{option}-from and --{option}-to")
    if start >= end:
        raise UserError(f"window {name} would end at {end:%Y-%m-%dT%HZ}, not after its start {start:%Y-%m-%dT%HZ}")
    return NamedWindow(start=start, end=end)


def check_windows(windows: Mapping[WindowName, NamedWindow], first: datetime, last: datetime) -> list[str]:
    """Warnings about short embargoes.

    Raises ``UserError`` when windows overlap, are out of order, or leave the data.
    """
    warnings: list[str] = []
    present = [(name, windows[name]) for name in ORDER if name in windows]
    for name, window in present:
        if window.start < first or window.end > last:
            raise UserError(
                f"window {name} ({window.start:%Y-%m-%dT%HZ} to {window.end:%Y-%m-%dT%HZ}) leaves the data "
                f"({first:%Y-%m-%dT%HZ} to {last:%Y-%m-%dT%HZ})"
            )
    for (name, window), (later_name, later) in pairwise(present):
        gap = later.start - window.end
        if gap <= timedelta(0):
            raise UserError(
                f"window {later_name} starts at {later.start:%Y-%m-%dT%HZ}, "
                f"before or at the end of {name} ({window.end:%Y-%m-%dT%HZ})"
            )
        # Both edges are hours of their windows: between 10:00 and 12:00 lies one hour.
        embargo = int(gap.total_seconds() // 3600) - 1
        if embargo < MIN_EMBARGO_HOURS:
            warnings.append(
                f"only {embargo} h lie between {name} and {later_name}; {EMBARGO_HOURS} h keep what was learned "
                "from leaking through positions and trailing features"
            )
    return warnings
