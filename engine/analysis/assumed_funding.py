"""What people are told of funding that nobody has seen settle (``engine.analysis.metrics.assumed_share_pct``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

METRIC = "assumed_funding_pct"
TOLD_ABOVE_PCT = 10.0
"""From this share on no line that states a P&L goes without the word."""


def assumed_words(metrics: Mapping[str, Any]) -> str:
    """``23 % of funding assumed`` where the share is above the limit, else nothing, as for runs that have no share."""
    share = metrics.get(METRIC)
    return "" if share is None or share <= TOLD_ABOVE_PCT else f"{share:.0f} % of funding assumed"


def assumed_line(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The line under a table of results: which share of each row's funding is assumed."""
    shares = {name: metrics.get(METRIC) for name, metrics in results.items()}
    told = [f"{name} {'-' if share is None else f'{share:.1f} %'}" for name, share in shares.items() if share != 0]
    return f"funding assumed, its settlements missing from the data: {', '.join(told) or 'none'}"
