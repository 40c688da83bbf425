"""How far the data of a run can be trusted, and what the engine refused to do."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from adapters.reporting.page.numbers import count
from adapters.storage.saved_run import SavedRun
from engine.accounting.books import NoteKind
from engine.analysis.assumed_funding import METRIC
from engine.analysis.resting_orders import resting_orders

RESTED = NoteKind.RESTED.name.lower()


@dataclass(frozen=True)
class Count:
    """A number with what it means, None where it is not known; ``share`` says of how many."""

    name: str
    n: int | None
    meaning: str
    share: str = ""


def counts(run: SavedRun) -> list[Count]:
    """What the engine had to assume."""
    metrics = run.metrics
    settlements = int((run.ledger["kind"] == "funding").sum())
    fills = 2 * int((run.ledger["kind"] == "fee").sum() // 2)
    held = int(2 * run.equity["open_positions"].sum())
    return [
        Count(
            "Missing settlements", _whole(metrics["missing_settlements"]),
            "due but absent: assumed at the worse of the last rate and zero",
            f"of {count(settlements, 'funding booking')}{_share(metrics.get(METRIC))}",
        ),
        Count(
            "Stale hours", _whole(metrics["stale_hours"]),
            "held legs without a fresh price, marked at the last one", f"of {count(held, 'leg hour')} held",
        ),
        Count(
            "Fills at the last trade", _whole(metrics["fills_at_last_trade"]),
            "no later trade was known, so the price on show stood in", f"of {count(fills, 'fill')}",
        ),
        *_resting(run),
    ]  # fmt: skip


def _resting(run: SavedRun) -> list[Count]:
    """Only of runs whose orders rest."""
    rested = resting_orders(run.notes.loc[run.notes["what"] == RESTED, "reason"])
    if not rested.orders:
        return []
    meaning = "one leg waited for an hour and was filled wholly; the others were taken, given up or filled in part"
    return [
        Count(
            "Orders filled at rest",
            rested.wholly,
            meaning,
            f"of {count(rested.orders, 'order')}, {rested.partly} more in part",
        )
    ]


def _share(assumed_pct: float | None) -> str:
    return "" if assumed_pct is None else f"; {assumed_pct:.0f} % of all funding in USD"


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def assumed_funding(run: SavedRun) -> pd.DataFrame:
    """Funding that was assumed (and taken back) by exchange and coin: bookings and USD left in the P&L."""
    assumed = run.ledger[run.ledger["assumed"]]
    # Reversals are among them: what was assumed and then settled sums to nothing and leaves its bookings.
    found = assumed.groupby(["exchange", "symbol"], as_index=False).agg(
        bookings=("amount_usd", "size"), amount_usd=("amount_usd", "sum")
    )
    return found.sort_values("bookings", ascending=False, kind="stable", ignore_index=True)


def refusals(run: SavedRun) -> pd.DataFrame:
    """Orders that were refused or cancelled: how many by what, order and reason, the most frequent first."""
    found = (
        run.notes[run.notes["what"] != RESTED]
        .groupby(["what", "order", "reason"], as_index=False)
        .agg(n=("time", "size"))
    )
    return found.sort_values("n", ascending=False, kind="stable", ignore_index=True)


def exits(run: SavedRun) -> pd.DataFrame:
    """Closed trades by reason of the exit: how many, their P&L in USD and mean hours."""
    found = run.trades.groupby("exit_reason", as_index=False).agg(
        n=("pnl_usd", "size"), pnl_usd=("pnl_usd", "sum"), hours=("duration_hours", "mean")
    )
    return found.sort_values("n", ascending=False, kind="stable", ignore_index=True)
