"""Figures for Prometheus, as its text format wants them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from adapters.paper.drawdown import drawdown_pct
from adapters.paper.journal import Journal
from adapters.paper.status import OK, status_of
from adapters.web.problems import MissingError
from adapters.web.state import StateReader
from engine.windows import time_of

FORMAT = "text/plain; version=0.0.4; charset=utf-8"


def metrics_router(state: StateReader, now: Callable[[], datetime]) -> APIRouter:
    """``/metrics``."""
    router = APIRouter(tags=["operations"])

    @router.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> PlainTextResponse:
        """Equity, drawdown, age of the last hour, health, trades, pending funding, open positions."""
        try:
            with state.journal() as journal:
                lines = [*figures_of(journal, now())]
        except MissingError:
            lines = _figure("arb_up", "gauge", "1 when there is a paper trading state.", 0)
        return PlainTextResponse("".join(lines), media_type=FORMAT)

    return router


def figures_of(journal: Journal, now: datetime) -> Iterator[str]:
    """All figures of a state."""
    status, last = status_of(journal, now), journal.last_hour
    age = float("nan") if last is None else (now - time_of(last)).total_seconds()
    told = (
        ("arb_up", "gauge", "1 when there is a paper trading state.", 1),
        ("arb_healthy", "gauge", "1 when health is ok.", int(status["health"] == OK)),
        ("arb_equity_usd", "gauge", "Mark-to-market equity, USD.", float(status["equity_usd"])),
        ("arb_pnl_usd", "gauge", "Equity less the capital at the start, USD.", status["pnl_usd"]),
        ("arb_drawdown_pct", "gauge", "Fall from the highest equity, %.", drawdown_pct(journal)),
        ("arb_last_hour_age_seconds", "gauge", "Since the last hour in the journal began.", age),
        ("arb_open_positions", "gauge", "Open positions.", len(status["positions"])),
        (
            "arb_pending_funding_usd",
            "gauge",
            "Funding that is due and not settled, USD.",
            status["pending_funding_usd"],
        ),
        ("arb_missing_settlements", "gauge", "Settlements that were missing.", status["missing_settlements"]),
        ("arb_trades_total", "counter", "Closed trades.", status["trades"]),
        ("arb_funding_usd", "gauge", "Funding booked so far, USD.", status["funding_usd"]),
        ("arb_fees_usd", "gauge", "Fees paid so far, USD.", status["fees_usd"]),
    )
    for name, kind, what, value in told:
        yield from _figure(name, kind, what, value)


def _figure(name: str, kind: str, what: str, value: float) -> list[str]:
    return [f"# HELP {name} {what}\n# TYPE {name} {kind}\n{name} {'NaN' if value != value else repr(value)}\n"]
