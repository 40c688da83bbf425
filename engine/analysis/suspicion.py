"""Signs that a result is made of last-trade bounce, or of another thing that nobody can earn.

Prices of thin markets jump between bid and ask; a strategy that is filled at them seems to earn the jumps: many short
trades, a high Sharpe ratio, little funding. Thresholds are those of a study of real data at retail costs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.analysis.metrics import Metrics

MOST_PNL_PCT_PER_7D = 1.0
MOST_SHARPE = 3.5
MOST_TRADES_PER_WEEK = 10.0
SHORTEST_MEDIAN_HOLD_HOURS = 12.0


def suspicious_signs(metrics: Metrics, holds: Sequence[float], late: Metrics | None = None) -> list[str]:
    """What is too good to be true, each as a short phrase with its number; empty when nothing is.

    A run that does not earn is not suspected of earning too much: only the sign that changes is told of it.
    ``holds`` are the hours that each closed trade was held; ``late`` the metrics of the same strategy with every
    fill one hour later.
    """
    earns = _number(metrics, "pnl_usd") > 0
    signs = [*_earnings(metrics), *_trading(metrics, holds), *_sources(metrics)] if earns else []
    if late is not None and _number(metrics, "pnl_usd") * _number(late, "pnl_usd") < 0:
        at_once, an_hour_late = _number(metrics, "pnl_pct"), _number(late, "pnl_pct")
        signs.append(f"P&L {at_once:+.2f} % filled at once, {an_hour_late:+.2f} % filled one hour late")
    return signs


def _earnings(metrics: Metrics) -> list[str]:
    weekly, sharpe = _number(metrics, "pnl_pct_per_7d"), _number(metrics, "sharpe")
    return [
        *([f"{weekly:.2f} % per 7 days"] if weekly > MOST_PNL_PCT_PER_7D else []),
        *([f"Sharpe {sharpe:.1f}"] if sharpe > MOST_SHARPE else []),
    ]


def _trading(metrics: Metrics, holds: Sequence[float]) -> list[str]:
    hours = _number(metrics, "hours")
    if not len(holds) or not hours:
        return []
    weekly = len(holds) / (hours / 168)
    hold = float(np.median(holds))
    return [
        *([f"{weekly:.0f} trades a week"] if weekly > MOST_TRADES_PER_WEEK else []),
        *([f"median hold {hold:.0f} h"] if hold < SHORTEST_MEDIAN_HOLD_HOURS else []),
    ]


def _sources(metrics: Metrics) -> list[str]:
    # Price risk cancels between the legs, so in the long run funding is what a position earns.
    price, funding = _number(metrics, "price_pnl_usd"), _number(metrics, "funding_usd")
    return [f"price P&L {price:+,.0f} USD, funding {funding:+,.0f} USD"] if price > funding else []


def _number(metrics: Metrics, name: str) -> float:
    """A metric that is not defined, or that an older run has not, is no sign of anything."""
    value = metrics.get(name)
    return 0.0 if value is None else float(value)
