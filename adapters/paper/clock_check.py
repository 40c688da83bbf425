"""Nothing is booked by a clock that the exchanges contradict."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from adapters.exchanges.their_clocks import Stamp, another_time
from engine.errors import UserError
from engine.windows import EPOCH


def require_our_hour(stamps: Sequence[Stamp], tolerance_seconds: float) -> None:
    """Raises ``UserError`` when the exchanges agree on another hour than our clock."""
    others = another_time(stamps, tolerance_seconds)
    if others:
        ours, theirs = shown_ms(others[0].ours_ms), shown_ms(others[0].theirs_ms)
        names = " and ".join(one.exchange for one in others)
        raise UserError(
            f"our clock says {ours}, but by {names} it is {theirs}; set the clock (or --now) right, nothing was booked"
        )


def shown_ms(milliseconds: int) -> str:
    """A time as people read it, to the second, UTC."""
    return f"{EPOCH + timedelta(milliseconds=milliseconds):%Y-%m-%dT%H:%M:%SZ}"
