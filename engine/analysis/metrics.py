"""Metrics as pure functions of a run's records (docs/design.md section 7). ``None``: a number is not defined."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.accounting.books import Kind, Reason
from engine.accounting.records import Records, trade_pnl
from engine.market.data import Floats
from engine.market.schedule import ACTUAL

HOURS_PER_YEAR = 8760

Metrics = dict[str, float | int | None]


def compute_metrics(records: Records, initial_capital_usd: float) -> Metrics:
    """All metrics of a finished run, in the order in which they are written."""
    hours = len(records.hours)
    # The capital comes first: the first hour has a return, and a run that only falls a drawdown.
    equity = np.concatenate(([initial_capital_usd], records.hours["equity"]))
    pnl = float(equity[-1]) - initial_capital_usd
    pnl_pct = 100 * pnl / initial_capital_usd
    costs = _costs(records)
    return {
        "initial_capital_usd": initial_capital_usd,
        "final_equity_usd": float(equity[-1]),
        "pnl_usd": pnl,
        "pnl_pct": pnl_pct,
        "pnl_pct_per_7d": pnl_pct * 168 / hours if hours else None,
        **trade_metrics(records.trades, hours),
        **return_metrics(equity),
        **costs,
        "exposure_pct": _exposure_pct(records.hours),
        "break_even_cost_multiple": _break_even(pnl, costs),
        "assumed_funding_pct": assumed_share_pct(*_funding(records)),
        "missing_settlements": records.missing_settlements,
        "stale_hours": records.stale_hours,
        "fills_at_last_trade": records.fills_at_last_trade,
        "liquidations": _count(records.ledger, Kind.LIQUIDATION_FEE),
        "transfers": _count(records.ledger, Kind.TRANSFER_FEE),
        "leg_failures": int(np.count_nonzero(records.notes["reason"] == int(Reason.LEG_FAILURE))),
        "hours": hours,
    }


def fitness(metrics: Metrics, drawdown_weight: float = 0.5) -> float:
    """P&L in % of initial capital less the weighted max drawdown in % (docs/design.md section 8); nan: undefined."""
    pnl_pct, drawdown_pct = metrics["pnl_pct"], metrics["max_drawdown_pct"]
    if pnl_pct is None or drawdown_pct is None:
        return float("nan")
    return pnl_pct - drawdown_weight * drawdown_pct


def trade_metrics(trades: NDArray[Any], hours: int) -> Metrics:
    """Metrics over closed trades; a win is a trade with P&L above zero."""
    pnl = trade_pnl(trades)
    wins, losses = pnl[pnl > 0], pnl[pnl < 0]
    average_win, average_loss = _mean(wins), _mean(losses)
    defined = average_win is not None and average_loss is not None
    return {
        "trades": len(trades),
        "win_rate_pct": 100 * len(wins) / len(trades) if len(trades) else None,
        "profit_factor": float(wins.sum() / -losses.sum()) if len(losses) else None,
        "avg_trade_hours": _mean(trades["closed"] - trades["opened"]),
        "avg_win_usd": average_win,
        "avg_loss_usd": average_loss,
        "win_loss_ratio": average_win / -average_loss if defined else None,  # type: ignore[operator]  # both checked
        "sharpe_trades": _sharpe_of_trades(100 * pnl / (2 * trades["notional"]), hours),
    }


def return_metrics(equity: Floats) -> Metrics:
    """Sharpe and Sortino, annualised from hourly returns with sample deviations, and the maximum drawdown in %."""
    returns = equity[1:] / equity[:-1] - 1
    peak = np.maximum.accumulate(equity)
    return {
        "sharpe": _annualised(returns, returns - returns.mean()) if len(returns) > 1 else None,
        # Over all hours: divided by the losing ones alone, it would punish whoever loses seldom.
        "sortino": _annualised(returns, np.minimum(returns, 0)) if len(returns) > 1 else None,
        "max_drawdown_pct": float(np.max(100 * (1 - equity / peak))),
    }


def _annualised(returns: Floats, deviations: Floats) -> float | None:
    """Mean return over the sample root of squared deviations, times the root of hours per year."""
    scale = float(np.sqrt(np.sum(deviations**2) / (len(returns) - 1)))
    return float(returns.mean()) / scale * float(np.sqrt(HOURS_PER_YEAR)) if scale > 0 else None


def _sharpe_of_trades(pnl_pct: Floats, hours: int) -> float | None:
    if len(pnl_pct) < 2 or not hours:
        return None
    deviation = float(pnl_pct.std(ddof=1))
    return float(pnl_pct.mean()) / deviation * float(np.sqrt(len(pnl_pct) / (hours / 24))) if deviation > 0 else None


def _costs(records: Records) -> dict[str, float]:
    """Where the money went, in USD; fees and slippage positive as costs, funding and price P&L signed.

    P&L at the end is funding and price P&L less all fees and costs but slippage, which is in the price P&L.
    """
    kind, amount = records.ledger["kind"], records.ledger["amount"]
    return {
        "fees_usd": float(-amount[kind == int(Kind.FEE)].sum() + 0.0),
        "liquidation_fees_usd": float(-amount[kind == int(Kind.LIQUIDATION_FEE)].sum() + 0.0),
        "transfer_costs_usd": float(-amount[kind == int(Kind.TRANSFER_FEE)].sum() + 0.0),
        "funding_usd": float(amount[kind == int(Kind.FUNDING)].sum()),
        "price_pnl_usd": float(amount[kind == int(Kind.PRICE)].sum()),
        "slippage_usd": float(records.trades["slippage"].sum()),
    }


def assumed_share_pct(amounts: Floats, is_assumed: NDArray[np.bool_]) -> float:
    """Share of all funding, by size, that was assumed and not taken back, in %; 0 without any funding.

    ``amounts`` are those of funding entries; an assumed one and its reversal, which cancel, are both assumed.
    """
    # An assumed payment and its reversal cancel in the sum; by their sizes both would count though neither is left.
    assumed, seen = abs(float(amounts[is_assumed].sum())), float(np.abs(amounts[~is_assumed]).sum())
    return 100 * assumed / (assumed + seen) if assumed > 0 else 0.0


def _funding(records: Records) -> tuple[Floats, NDArray[np.bool_]]:
    entries = records.ledger[records.ledger["kind"] == int(Kind.FUNDING)]
    return entries["amount"], entries["booking"] != ACTUAL


def _break_even(pnl: float, costs: dict[str, float]) -> float | None:
    """By which factor fees and slippage of the same trades could grow until the P&L is zero."""
    fees = costs["fees_usd"] + costs["liquidation_fees_usd"] + costs["transfer_costs_usd"]
    paid = fees + costs["slippage_usd"]
    return (pnl + paid) / paid if paid > 0 else None


def _count(ledger: NDArray[Any], kind: Kind) -> int:
    return int(np.count_nonzero(ledger["kind"] == int(kind)))


def _exposure_pct(hours: NDArray[Any]) -> float | None:
    return float(np.mean(100 * hours["committed"] / hours["equity"])) if len(hours) else None


def _mean(values: NDArray[Any]) -> float | None:
    return float(values.mean()) if len(values) else None
