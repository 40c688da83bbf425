"""Rows of a scan for people: two lines a pair, at most 100 columns."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from adapters.scan.answer import Scan
from adapters.scan.rows import DAYS_PER_YEAR, LegNow, PairNow

WIDTH = 100
UNKNOWN = "-"
_HEADS = ("8 h", "day", "APR", "24 h", "168 h", "cost", "paid back")
_UNITS = ("bps", "bps", "%", "bps/day", "bps/day", "bps", "after h")
_WIDTHS = (8, 8, 9, 9, 9, 7, 10)
_NAMES = (12, 14, 14)
SHOWN_EVENTS = 3


def lines_of(scan: Scan) -> list[str]:
    """The whole of it; a line that is too long is cut (the JSON has all)."""
    return [line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..." for line in _lines(scan)]


def _lines(scan: Scan) -> Iterator[str]:
    yield from _head(scan)
    if not scan.rows:
        yield "no pair is left by what was asked for"
        return
    yield ""
    yield _joined(("coin", "long", "short"), _HEADS)
    yield _joined(("", "", ""), _UNITS)
    for row in scan.rows:
        yield from _pair(row)


def _head(scan: Scan) -> Iterator[str]:
    source = scan.source
    if source.synthetic:
        yield "SYNTHETIC: no exchange ever paid these rates"
    name = "" if source.name == source.kind else f" {source.name}"
    yield f"{source.kind}{name} ({source.of})"
    yield f"hour {scan.time:%Y-%m-%dT%H:%MZ}, seen {scan.seen:%Y-%m-%dT%H:%M:%SZ}, {_age(scan.age_hours)} old"
    yield f"{len(scan.rows)} of {scan.coins} coins, the best pair of each, by {scan.sort}"
    yield f"8 h, day, APR ({DAYS_PER_YEAR} days): net funding by the last settled rates; 24 h, 168 h: of what was"
    yield "settled in them; cost: fees, slippage and spread of four fills; gap: short over long price"
    for event in scan.events[:SHOWN_EVENTS]:
        yield f"! {event}"
    if len(scan.events) > SHOWN_EVENTS:
        yield f"! ... and {len(scan.events) - SHOWN_EVENTS} more"


def _pair(row: PairNow) -> Iterator[str]:
    numbers = (
        _fixed(row.net_8h_bps, 2), _fixed(row.net_day_bps, 2), _fixed(row.apr_pct, 1), _fixed(row.net_24h_bps_day, 2),
        _fixed(row.net_168h_bps_day, 2), _fixed(row.round_trip_bps, 1), _fixed(row.payback_hours, 1),
    )  # fmt: skip
    yield _joined((row.symbol, row.long.exchange, row.short.exchange), numbers)
    yield (
        f"  next {_next(row.long)} / {_next(row.short)}, gap {_fixed(row.price_gap_bps, 1)} bps, "
        f"bid-ask {_fixed(row.bid_ask_bps, 1)} bps, depth {_short(row.depth_usd)}, volume {_short(row.volume_24h_usd)} "
        f"USD, {_stale(row.stale_hours)}{'offered' if row.why_not is None else row.why_not.replace('_', ' ')}"
    )


def _joined(names: tuple[str, str, str], numbers: tuple[str, ...]) -> str:
    left = "".join(f"{name[: width - 1]:<{width}}" for name, width in zip(names, _NAMES, strict=True))
    return (left + "".join(f"{number:>{width}}" for number, width in zip(numbers, _WIDTHS, strict=True))).rstrip()


def _fixed(value: float | None, digits: int) -> str:
    # z: what rounds to zero has no sign.
    return UNKNOWN if value is None else f"{value:z.{digits}f}"


def _short(value: float | None) -> str:
    """USD with three digits and the unit of thousands."""
    if value is None:
        return UNKNOWN
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.0f}"


def _next(leg: LegNow) -> str:
    return UNKNOWN if leg.next_settlement is None else _clock(leg.next_settlement)


def _clock(time: datetime) -> str:
    return f"{time:%H:%M}"


def _stale(hours: int | None) -> str:
    return "no price, " if hours is None else f"{hours} h old, " if hours else ""


def _age(hours: float) -> str:
    seconds = round(3600 * hours)
    if abs(seconds) < 120:
        return f"{seconds} s"
    if abs(hours) < 2:
        return f"{60 * hours:.0f} min"
    return f"{hours:.1f} h" if abs(hours) < 72 else f"{hours / 24:.0f} days"
