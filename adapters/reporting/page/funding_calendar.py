"""When and on which coins funding was booked."""

from __future__ import annotations

import pandas as pd

from adapters.storage.saved_run import SavedRun

OTHERS = "others"


def by_hour(run: SavedRun) -> pd.DataFrame:
    """USD of funding by hour of the day (rows 0..23) and day (columns, every day of the run)."""
    funding = _funding(run)
    table = funding.pivot_table(index=funding["time"].dt.hour, columns="day", values="amount_usd", aggfunc="sum")
    # Every hour and day has a cell, booked or not: left out, the axes would hide the quiet ones.
    return table.reindex(index=range(24), columns=_days(run)).fillna(0.0)


def by_coin(run: SavedRun, most: int = 20) -> pd.DataFrame:
    """USD of funding by coin (rows, the largest absolute sum first) and day; beyond ``most`` coins the rest is one."""
    funding = _funding(run)
    table = funding.pivot_table(index="symbol", columns="day", values="amount_usd", aggfunc="sum")
    table = table.reindex(columns=_days(run)).fillna(0.0)
    order = table.sum(axis=1).abs().sort_values(ascending=False, kind="stable").index
    table = table.reindex(order)
    if len(table) > most:
        rest = table.iloc[most - 1 :].sum()
        table = table.iloc[: most - 1]
        table.loc[OTHERS] = rest
    return table


def _funding(run: SavedRun) -> pd.DataFrame:
    funding = run.ledger[run.ledger["kind"] == "funding"]
    return funding.assign(day=funding["time"].dt.floor("D"))


def _days(run: SavedRun) -> pd.DatetimeIndex:
    times = run.equity["time"]
    if times.empty:
        return pd.DatetimeIndex([], tz="UTC")
    return pd.date_range(times.iloc[0].floor("D"), times.iloc[-1].floor("D"), freq="D")
