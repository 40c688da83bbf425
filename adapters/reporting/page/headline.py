"""The numbers that a report opens with: value, interval, target, and whether the target is met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.reporting.figures import column
from adapters.reporting.page.extras import HINDSIGHT, PERSISTENT, Extras
from adapters.reporting.page.numbers import DASH, count, interval, number, pct, usd
from adapters.storage.saved_run import SavedRun
from engine.analysis.assumed_funding import METRIC, assumed_words


@dataclass(frozen=True)
class Figure:
    """One number of the headline in words. ``met`` is None where there is no target, or no number."""

    name: str
    value: str
    note: str = ""
    target: str = ""
    met: bool | None = None


def figures(run: SavedRun, extras: Extras) -> list[Figure]:
    """In the order in which they are shown."""
    metrics = run.metrics
    bounds: Mapping[str, Any] = extras.significance or {}
    confidence = bounds.get("confidence")
    level = "" if confidence is None else f"{100 * confidence:.0f} %"
    pnl, assumed = metrics["pnl_usd"], assumed_words(metrics)
    range_or_usd = _range(level, bounds.get("pnl_pct_interval")) or usd(pnl)
    return [
        Figure("P&L", pct(metrics["pnl_pct"]), _also(range_or_usd, assumed)),
        Figure(
            "P&L per 7 days",
            pct(metrics["pnl_pct_per_7d"], 3),
            _also(_range(level, bounds.get("pnl_pct_per_7d_interval")), assumed),
            *_against("pnl_pct_per_7d", metrics),
        ),
        Figure(
            "Sharpe",
            number(metrics["sharpe"], signed=True),
            _range(level, bounds.get("sharpe_interval")),
            *_against("sharpe", metrics),
        ),
        Figure(
            "Max drawdown",
            pct(metrics["max_drawdown_pct"], signed=False),
            f"hourly, mark to market; Sortino {number(metrics['sortino'], signed=True)}",
        ),
        Figure(
            "Win rate",
            pct(metrics["win_rate_pct"], 0, signed=False),
            _trades(metrics),
            *_against("win_rate_pct", metrics),
        ),
        Figure(
            "Profit factor",
            number(metrics["profit_factor"]) if metrics["profit_factor"] is not None else DASH,
            "" if metrics["profit_factor"] is not None or not metrics["trades"] else "no trade lost",
            *_against("profit_factor", metrics),
        ),
        Figure(
            "Average trade",
            _hours(metrics["avg_trade_hours"]),
            f"per trade Sharpe {number(metrics['sharpe_trades'])}",
            *_against("avg_trade_hours", metrics),
        ),
        Figure("Break-even costs", _multiple(metrics["break_even_cost_multiple"]), "same trades, dearer"),
        _share("Of hindsight", HINDSIGHT, "every next trade known", run, extras),
        _share("Of persistent hindsight", PERSISTENT, "fills at the worse of two hours", run, extras),
        Figure("Exposure", pct(metrics["exposure_pct"], 0, signed=False), "mean of both legs over equity"),
        Figure("Assumed funding", pct(metrics.get(METRIC), 0, signed=False), "of all funding: due, not in the data"),
    ]


def probabilities(extras: Extras) -> list[Figure]:
    """What remains after luck and after everything that was tried; what is not known says why."""
    found = extras.significance
    if found is None:
        return []
    return [
        Figure(
            "Probability of a true edge",
            _chance(found.get("probabilistic_sharpe")),
            found.get("probabilistic_sharpe_reason") or "that the true Sharpe is above 0",
        ),
        Figure(
            "Deflated Sharpe",
            _chance(found.get("deflated_sharpe")),
            found.get("deflated_sharpe_reason") or _among(found.get("trials")),
        ),
        Figure(
            "Backtest overfitting",
            _chance(found.get("pbo")),
            found.get("pbo_reason") or "chance that the best of the trials is below their median",
        ),
    ]


def _also(note: str, more: str) -> str:
    return "; ".join(filter(None, (note, more)))


def _among(trials: int | None) -> str:
    return "" if trials is None else f"above the luck of {trials} trials"


def _range(level: str, bounds: Any) -> str:
    return f"{level}: {interval(bounds, 2)}".removeprefix(": ") if bounds else ""


def _against(key: str, metrics: Mapping[str, Any]) -> tuple[str, bool | None]:
    """The target of a metric in words, and whether it is met."""
    target, value = column(key).target, metrics[key]
    if target is None:
        return "", None
    words = f"{target.sign} {target.value:g} {target.unit}".rstrip()
    return words, None if value is None else target.is_met(value)


def _trades(metrics: Mapping[str, Any]) -> str:
    return "" if metrics["trades"] is None else count(metrics["trades"], "trade")


def _hours(value: float | None) -> str:
    return DASH if value is None else f"{value:,.0f} h"


def _multiple(value: float | None) -> str:
    return DASH if value is None else f"{number(value, 1)} x"


def _chance(value: float | None) -> str:
    return DASH if value is None else f"{100 * value:.0f} %"


def _share(name: str, optimum: str, note: str, run: SavedRun, extras: Extras) -> Figure:
    share = extras.share_of(optimum, run.metrics["pnl_usd"])
    played = extras.reference(optimum)
    if share is None:
        # Three reasons for a dash, and they mean different things: earned nothing, not known, never played.
        known = played is not None and None not in (run.metrics["pnl_usd"], played["metrics"]["pnl_usd"])
        return Figure(name, DASH, "it earned nothing" if known else "" if played else "not played for this run")
    return Figure(name, pct(100 * share, 1 if abs(share) < 0.1 else 0, signed=False), note)
