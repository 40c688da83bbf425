"""The data behind the charts of a report; what they look like is the business of ``templates/charts.js``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from adapters.reporting.page import attribution
from adapters.reporting.page.extras import Extras
from adapters.reporting.page.funding_calendar import by_coin, by_hour
from adapters.reporting.page.pack import clock, coded, floats, rounded, stamps, thinned
from adapters.reporting.page.positions import positions
from adapters.storage.saved_run import SavedRun

MOST_GROUPS = 12
DWARFS = 4.0


def chart_data(run: SavedRun, extras: Extras, pairs: pd.DataFrame, coins: pd.DataFrame) -> dict[str, Any]:
    """Everything that the scripts draw or list, ready to be embedded; ``pairs`` and ``coins`` are attributions."""
    some = thinned(run.hours)
    times = pd.DatetimeIndex(run.equity["time"])[some]
    return {
        "name": run.name,
        "capital": run.initial_capital_usd,
        "clock": clock(times),
        "curves": curves(run, extras, some),
        "parts": [
            {"key": key, "label": attribution.label(key), "usd": usd} for key, usd in attribution.totals(run).items()
        ],
        "over_time": over_time(run, some),
        "pairs": _groups(pairs),
        "coins": _groups(coins),
        "positions": _positions(run),
        "trades": trades_data(run, extras),
        "calendar": _calendar(run),
        "stress": None if extras.stress is None else extras.stress["costs"],
    }


def chart_curve(run: SavedRun) -> dict[str, Any]:
    """One run as a curve with a clock of its own."""
    some = thinned(run.hours)
    pct = _pnl_pct(run.equity["equity_usd"], run.initial_capital_usd)
    return {"kind": "run", "pct": floats(pct[some]), "clock": clock(pd.DatetimeIndex(run.equity["time"])[some])}


def curves(run: SavedRun, extras: Extras, some: slice) -> list[dict[str, Any]]:
    """P&L in % of capital over time: the run first, then the references; one that dwarfs the others starts hidden."""
    own = _pnl_pct(run.equity["equity_usd"], run.initial_capital_usd)
    found = [{"name": run.name, "kind": "run", "pct": floats(own[some]), "hidden": False}]
    # Curves of other hours would be drawn beside this run's clock, each at the wrong time.
    if extras.curves is None or len(extras.curves) != run.hours:
        return found
    # A run that never traded is flat: measured by it alone every optimum would dwarf it.
    widest = max(float(np.abs(own).max()), 0.05)
    for name in extras.curves.columns:
        pct = _pnl_pct(extras.curves[name], run.initial_capital_usd)
        facts = extras.reference(name) or {}
        kind = "optimum" if facts.get("knows_future") else "rule"
        if kind == "rule":
            widest = max(widest, float(np.abs(pct).max()))
        if is_itself(run, facts):
            continue
        # An optimum far above everything flattens the other curves into one line.
        dwarfs = kind == "optimum" and float(np.abs(pct).max()) > DWARFS * widest
        found.append({"name": name, "kind": kind, "pct": floats(pct[some]), "hidden": dwarfs})
    return found


def is_itself(run: SavedRun, reference: Mapping[str, Any]) -> bool:
    """Whether a reference is the run under its own name: it is not shown beside itself."""
    # Of what a reference is not played for, such as other spreads, the run has metrics of its own.
    same = all(run.metrics.get(name) == value for name, value in reference["metrics"].items())
    return reference.get("name") == run.name and same


def _pnl_pct(equity: pd.Series, capital: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    values: np.ndarray[Any, np.dtype[np.float64]] = 100 * (equity.to_numpy(np.float64) / capital - 1)
    return values


def over_time(run: SavedRun, some: slice) -> list[dict[str, Any]]:
    """Cumulative USD by part; parts that stay zero are left out."""
    table = attribution.over_time(run)
    moved = [str(name) for name in table.columns if name == "pnl" or bool(table[name].any())]
    return [
        {"key": name, "label": "P&L" if name == "pnl" else attribution.label(name), "usd": floats(table[name][some])}
        for name in moved
    ]


def _groups(table: pd.DataFrame) -> dict[str, Any]:
    """The groups that moved most, and the parts as columns."""
    some = table.head(MOST_GROUPS)
    parts = [str(name) for name in table.columns if name not in ("pnl", "trades") and bool(table[name].any())]
    return {
        "names": [str(name) for name in some.index],
        "parts": [{"key": part, "label": attribution.label(part), "usd": rounded(some[part], 2)} for part in parts],
        "pnl": rounded(some["pnl"], 2),
    }


def _positions(run: SavedRun) -> dict[str, Any]:
    table = positions(run)
    return {
        "symbol": coded(table["symbol"]),
        "pair": coded(table["long"].astype(str) + " > " + table["short"].astype(str)),
        "entry": stamps(table["entry"]),
        "exit": stamps(table["exit"]),
        "pnl_usd": rounded(table["pnl_usd"], 2),
        "reason": coded(table["exit_reason"]),
        "lane": [int(lane) for lane in table["lane"]],
        "end": int(run.equity["time"].iloc[-1].timestamp()) // 3600 if run.hours else 0,
    }


def trades_data(run: SavedRun, extras: Extras) -> dict[str, Any]:
    """Closed trades by column; what was on show at the entry where it was kept."""
    trades = run.trades
    fees = -(trades["entry_fees_usd"] + trades["exit_fees_usd"] + trades["liquidation_fees_usd"])
    found = {
        "id": [int(key) for key in trades["position_id"]],
        "symbol": coded(trades["symbol"]),
        "long": coded(trades["long_exchange"]),
        "short": coded(trades["short_exchange"]),
        "entry": stamps(trades["entry_time"]),
        "exit": stamps(trades["exit_time"]),
        "hours": [int(hours) for hours in trades["duration_hours"]],
        # Both legs: the table of trades states a notional for one.
        "size": rounded(2 * trades["position_size_usd"], 0),
        "pnl": rounded(trades["pnl_usd"], 2),
        "pct": rounded(trades["pnl_pct"], 3),
        "funding": rounded(trades["funding_usd"], 2),
        "price": rounded(trades["price_pnl_usd"], 2),
        "fees": rounded(fees, 2),
        "slippage": rounded(-trades["slippage_usd"], 2),
        "reason": coded(trades["exit_reason"].str.replace("_", " ")),
    }
    if extras.entries is None:
        return found
    # By position: trades stand in the order of closing, which another table need not have.
    seen = extras.entries.set_index("position_id").reindex(trades["position_id"])
    kept = {"now": "funding_now_bps", "week": "net_funding_168h_bps", "spread": "spread_bps", "rank": "rank"}
    return found | {key: rounded(seen[column].astype("float64"), 1) for key, column in kept.items()}


def _calendar(run: SavedRun) -> dict[str, Any]:
    hours, coins = by_hour(run), by_coin(run)
    return {
        "days": [str(day)[:10] for day in hours.columns],
        "hours": [floats(row) for row in hours.to_numpy()],
        "coins": [str(name) for name in coins.index],
        "by_coin": [floats(row) for row in coins.to_numpy()],
    }
