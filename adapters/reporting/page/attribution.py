"""Where the money of a run came from. Every split adds up to the P&L of the metrics.

The parts are the kinds of the ledger: funding is split into received and paid, and the price P&L into what it would
have been without slippage and the slippage itself, which fills have inside their prices. Kinds that are not known
here stand under their own names. What open positions are worth is a part of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from adapters.storage.saved_run import SavedRun

RECEIVED, PAID = "funding_received", "funding_paid"
PRICE, BEFORE_SLIPPAGE, SLIPPAGE = "price", "price_before_slippage", "slippage"
FEES, UNREALISED = "fees", "unrealised"
NO_POSITION = "no position"

LABELS = {
    RECEIVED: "Funding received",
    PAID: "Funding paid",
    PRICE: "Price, slippage inside",
    BEFORE_SLIPPAGE: "Price before slippage",
    SLIPPAGE: "Slippage",
    FEES: "Fees",
    UNREALISED: "Open positions",
    "transfer": "Transfers between wallets",
    "transfer_fee": "Transfer costs",
    "liquidation_fee": "Liquidation fees",
}
_SHORT = {RECEIVED: "Received", PAID: "Paid", BEFORE_SLIPPAGE: "Price"}
_PARTS = {"fee": FEES, "price": PRICE}


def label(part: str) -> str:
    """A part in words for people."""
    return LABELS.get(part, part.replace("_", " ").capitalize())


def short_label(part: str) -> str:
    """A part in a word or two, for heads of tables."""
    return _SHORT.get(part, label(part))


def parts_of(ledger: pd.DataFrame) -> pd.Series:
    """The part that every ledger entry belongs to, in the ledger's order.

    The reversal of an assumed settlement takes back what that one booked, so it belongs to the same part.
    """
    parts = ledger["kind"].map(lambda kind: _PARTS.get(kind, kind)).astype(object)
    funding = ledger["kind"] == "funding"
    gained = (ledger["amount_usd"] > 0) ^ _reversals(ledger)
    return parts.mask(funding & gained, RECEIVED).mask(funding & ~gained, PAID)


def _reversals(ledger: pd.DataFrame) -> pd.Series:
    """Assumed funding that undoes an earlier one: of equal amounts on a leg, every second."""
    assumed = ledger[ledger["assumed"]]
    same = [assumed["position_id"], assumed["leg"], assumed["amount_usd"].abs()]
    counts = assumed.groupby(same).cumcount()
    reversals: pd.Series = (counts % 2 == 1).reindex(ledger.index, fill_value=False)
    return reversals


def totals(run: SavedRun) -> dict[str, float]:
    """USD by part over the whole run; parts in which nothing happened are left out, the six usual ones are not."""
    booked = _sums(run.ledger["amount_usd"], parts_of(run.ledger))
    slippage = math.fsum(run.trades["slippage_usd"])
    found = {
        RECEIVED: booked.pop(RECEIVED, 0.0),
        PAID: booked.pop(PAID, 0.0),
        # Slippage is inside the prices of fills: what is shown as its cost is added back here, and the sum stays.
        BEFORE_SLIPPAGE: booked.pop(PRICE, 0.0) + slippage,
        SLIPPAGE: -slippage,
        FEES: booked.pop(FEES, 0.0),
        **booked,
    }
    unrealised = open_value(run)
    return found if unrealised == 0 else {**found, UNREALISED: unrealised}


def open_value(run: SavedRun) -> float:
    """Price P&L of what is still open at the end, USD."""
    return float(run.equity["unrealised_usd"].iloc[-1]) if len(run.equity) else 0.0


def _sums(amounts: pd.Series, keys: pd.Series) -> dict[str, float]:
    # Exact sums, so that the parts of any split add up to the same P&L.
    return {str(key): math.fsum(group) for key, group in amounts.groupby(keys, sort=True)}


def by_group(run: SavedRun, groups: Mapping[int, str]) -> pd.DataFrame:
    """USD by group (rows, the largest absolute P&L first) and part (columns), with ``pnl`` and closed ``trades``.

    ``groups`` names the group of a position; entries of no position have a row of their own, and so has the value of
    open positions.
    """
    # Transfers belong to no position: left out, the rows would not add up to the P&L.
    names = run.ledger["position_id"].map(groups).fillna(NO_POSITION)
    table = run.ledger.pivot_table(
        index=names, columns=parts_of(run.ledger), values="amount_usd", aggfunc=math.fsum, fill_value=0.0
    )
    table = table.reindex(columns=[*dict.fromkeys([RECEIVED, PAID, PRICE, FEES, *table.columns])], fill_value=0.0)
    traded = run.trades["position_id"].map(groups)
    slippage = run.trades["slippage_usd"].groupby(traded).sum().reindex(table.index, fill_value=0.0)
    table.insert(2, BEFORE_SLIPPAGE, table.pop(PRICE) + slippage)
    table.insert(3, SLIPPAGE, -slippage)
    unrealised = open_value(run)
    if unrealised:
        table.loc[LABELS[UNREALISED]] = 0.0
        table[UNREALISED] = [0.0] * (len(table) - 1) + [unrealised]
    table["pnl"] = table.sum(axis=1)
    table["trades"] = traded.value_counts().reindex(table.index, fill_value=0)
    # Stable, so that equal sums stand in the same order in every page of the run.
    return table.reindex(table["pnl"].abs().sort_values(ascending=False, kind="stable").index)


def pairs_of(run: SavedRun) -> dict[int, str]:
    """Position to the directed pair of exchanges, ``bybit > okx``: long on the first, short on the second."""
    legs = legs_of(run.ledger)
    return {key: f"{long} > {short}" for key, long, short in zip(legs.index, legs["long"], legs["short"], strict=True)}


def coins_of(run: SavedRun) -> dict[int, str]:
    """Position to coin."""
    # From the ledger, not the trades: positions that are still open have no trade yet.
    first = of_positions(run.ledger).groupby("position_id")["symbol"].first()
    return dict(zip(first.index.astype(int), first.astype(str), strict=True))


def of_positions(ledger: pd.DataFrame) -> pd.DataFrame:
    """The entries of legs; a transfer between wallets has none."""
    return ledger[(ledger["position_id"] > 0) & (ledger["leg"] != "")]


def legs_of(ledger: pd.DataFrame) -> pd.DataFrame:
    """Long and short exchange by position."""
    legs = of_positions(ledger).groupby(["position_id", "leg"])["exchange"].first().unstack("leg")
    return legs.reindex(columns=["long", "short"]).fillna("?")


def over_time(run: SavedRun) -> pd.DataFrame:
    """Cumulative USD by part at the end of every hour, indexed by time; ``pnl`` is equity less capital.

    ``price`` holds realised and unrealised price P&L with the slippage inside.
    """
    times = pd.DatetimeIndex(run.equity["time"])
    booked = run.ledger.pivot_table(
        index="time", columns=parts_of(run.ledger), values="amount_usd", aggfunc="sum", fill_value=0.0
    )
    booked = booked.reindex(times, fill_value=0.0).cumsum()
    booked = booked.reindex(columns=[*dict.fromkeys([RECEIVED, PAID, PRICE, FEES, *booked.columns])], fill_value=0.0)
    # With what is open: realised alone would jump at every exit by what prices did in weeks.
    booked[PRICE] += run.equity["unrealised_usd"].to_numpy()
    booked["pnl"] = run.equity["equity_usd"].to_numpy() - run.initial_capital_usd
    return booked
