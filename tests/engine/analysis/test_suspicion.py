"""Signs of profits that nobody can earn: each threshold from both sides."""

from __future__ import annotations

from typing import Any

import pytest

from engine.analysis.metrics import Metrics
from engine.analysis.suspicion import suspicious_signs

HONEST: Metrics = {
    "pnl_usd": 60.0, "pnl_pct": 0.6, "pnl_pct_per_7d": 0.3, "sharpe": 2.0, "funding_usd": 90.0, "price_pnl_usd": 20.0,
    "hours": 336,
}  # fmt: skip


def holds_of(trades: int = 4, hold: float = 48) -> list[float]:
    return trades * [hold]


def test_a_calm_funding_strategy_is_not_suspicious() -> None:
    assert suspicious_signs(HONEST, holds_of(), HONEST) == []


@pytest.mark.parametrize(
    ("metrics", "sign"),
    [
        ({"pnl_pct_per_7d": 1.01}, "1.01 % per 7 days"),
        ({"pnl_pct_per_7d": 1.0}, None),
        ({"sharpe": 3.6}, "Sharpe 3.6"),
        ({"sharpe": 3.5}, None),
        ({"sharpe": None}, None),
        ({"price_pnl_usd": 91.0}, "price P&L +91 USD, funding +90 USD"),
        ({"price_pnl_usd": 90.0}, None),
        ({"price_pnl_usd": 5.0, "funding_usd": -30.0}, "price P&L +5 USD, funding -30 USD"),
    ],
)
def test_each_sign_of_the_metrics(metrics: dict[str, Any], sign: str | None) -> None:
    assert suspicious_signs(HONEST | metrics, holds_of()) == ([] if sign is None else [sign])


@pytest.mark.parametrize(
    ("holds", "sign"),
    [
        (holds_of(trades=21), "10 trades a week"),
        (holds_of(trades=20), None),
        (holds_of(hold=11), "median hold 11 h"),
        (holds_of(hold=12), None),
        (holds_of(trades=0), None),
    ],
)
def test_each_sign_of_the_trades(holds: list[float], sign: str | None) -> None:
    assert suspicious_signs(HONEST, holds) == ([] if sign is None else [sign])


def test_a_sign_that_changes_with_late_fills_is_told_also_of_a_loss() -> None:
    late = HONEST | {"pnl_usd": -10.0, "pnl_pct": -0.1}
    told = "P&L +0.60 % filled at once, -0.10 % filled one hour late"
    assert suspicious_signs(HONEST, holds_of(), late) == [told]
    assert suspicious_signs(late, holds_of(), HONEST) == ["P&L -0.10 % filled at once, +0.60 % filled one hour late"]
    assert suspicious_signs(late | {"sharpe": 9.0}, holds_of(hold=1), late) == []
