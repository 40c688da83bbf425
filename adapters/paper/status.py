"""How a paper trading state stands: money, positions, the last hours, health."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np

from adapters.paper.journal import Journal
from adapters.paper.messages import in_short, shown
from engine.accounting.books import Kind
from engine.analysis.assumed_funding import METRIC, assumed_words
from engine.analysis.metrics import assumed_share_pct
from engine.market.schedule import ACTUAL
from engine.windows import EPOCH

OK, DEGRADED, STALE = "ok", "degraded", "stale"
EXIT_CODES = {OK: 0, DEGRADED: 1, STALE: 2}
LATE_AFTER_SECONDS = 1800
"""An hour that is not in the journal this long after it began is late."""
HOURS_SHOWN = 24


def status_of(journal: Journal, now: datetime) -> dict[str, Any]:
    """Everything as plain values: USD, hours as people read them, None where something is not known."""
    meta, snapshot = journal.meta, journal.snapshot()
    last = journal.last_hour
    report = dict(snapshot.report) if snapshot is not None else {}
    slots = journal.rows(
        "SELECT hour, status, detail FROM slots WHERE status <> 'history' ORDER BY hour DESC LIMIT ?", HOURS_SHOWN
    )
    health, why = _health(journal, meta["mode"], last, report, now)
    initial = float(meta["settings"]["initial_capital_usd"])
    equity = report.get("equity_usd", initial)
    return {
        "health": health,
        "why": why,
        "mode": meta["mode"],
        "strategy": meta["strategy"]["name"],
        "last_hour": None if last is None else shown(last),
        "initial_capital_usd": initial,
        "equity_usd": equity,
        "pnl_usd": equity - initial,
        "pnl_pct": 100 * (equity - initial) / initial,
        **_split(journal, report),
        METRIC: _assumed_pct(journal),
        "trades": journal.rows("SELECT count(*) FROM trades")[0][0],
        "missing_settlements": report.get("missing_settlements", 0),
        "pending_funding_usd": report.get("pending_funding_usd", 0.0),
        "pending_entries": report.get("pending_entries", []),
        "positions": [_position(position) for position in report.get("positions", [])],
        "usdc_at_par": _quoted_in_usdc(journal),
        "hours": [_slot(journal, *slot) for slot in slots],
    }


def status_json(status: dict[str, Any]) -> str:
    """``status_of`` as one line, for programs."""
    return json.dumps(status) + "\n"


def _health(journal: Journal, mode: str, last: int | None, report: dict[str, Any], now: datetime) -> tuple[str, str]:
    if last is None or not report:
        return STALE, "no hour has been played yet"
    # The hours of a data set are long past: by the clock every replay would be stale.
    if mode == "replay":
        return OK, "a replay of a data set"
    # The next hour is due when the last one that is in the journal is over.
    seconds = (now - EPOCH).total_seconds() - 3600 * (last + 1)
    if seconds >= LATE_AFTER_SECONDS:
        return STALE, f"nothing since {shown(last)}"
    status, detail = journal.rows("SELECT status, detail FROM slots WHERE hour = ?", last)[0]
    events = [text for (text,) in journal.rows("SELECT text FROM events WHERE hour = ? ORDER BY id", last)]
    if status != OK:
        return DEGRADED, in_short(events) or detail or status
    stale = [leg for position in report["positions"] for leg in position["legs"] if leg["stale_hours"]]
    if stale:
        return DEGRADED, f"no price of {stale[0]['symbol']} on {stale[0]['exchange']} for {stale[0]['stale_hours']} h"
    return OK, detail


def _split(journal: Journal, report: dict[str, Any]) -> dict[str, float]:
    """Where the money came from and went, USD; open positions' price P&L is ``unrealised_usd``."""
    sums = dict(journal.rows("SELECT kind, sum(amount) FROM ledger GROUP BY kind"))
    return {
        # Plus zero, because no fees would otherwise be -0.0 and shown with a minus.
        "fees_usd": -float(sums.get(int(Kind.FEE), 0.0)) + 0.0,
        "liquidation_fees_usd": -float(sums.get(int(Kind.LIQUIDATION_FEE), 0.0)) + 0.0,
        "transfer_costs_usd": -float(sums.get(int(Kind.TRANSFER_FEE), 0.0)) + 0.0,
        "funding_usd": float(sums.get(int(Kind.FUNDING), 0.0)),
        "realised_price_usd": float(sums.get(int(Kind.PRICE), 0.0)),
        "unrealised_usd": report.get("equity_usd", 0.0) - report.get("cash_usd", 0.0),
    }


def _assumed_pct(journal: Journal) -> float:
    """Share of the funding booked so far that was assumed and not taken back, %."""
    found = journal.rows("SELECT amount, booking FROM ledger WHERE kind = ?", int(Kind.FUNDING))
    amounts = np.array([amount for amount, _ in found], np.float64)
    return assumed_share_pct(amounts, np.array([booking != ACTUAL for _, booking in found], np.bool_))


def _quoted_in_usdc(journal: Journal) -> list[str]:
    """Exchanges whose contracts are quoted in USDC, which counts as USDT at par."""
    found = journal.rows(
        "SELECT DISTINCT exchange FROM quotes JOIN legs USING (leg) WHERE hour = (SELECT max(hour) FROM quotes) "
        "AND json_extract(quote, '$.quote_currency') = 'USDC' ORDER BY exchange"
    )
    return [exchange for (exchange,) in found]


def _position(position: dict[str, Any]) -> dict[str, Any]:
    legs = []
    for leg in position["legs"]:
        due = leg["next_settlement_hour"]
        legs.append({**leg, "next_settlement_hour": None if due is None else shown(due)})
    return {**position, "opened_hour": shown(position["opened_hour"]), "legs": legs}


def _slot(journal: Journal, hour: int, status: str, detail: str) -> dict[str, Any]:
    decided = journal.rows("SELECT orders, no_decision FROM decisions WHERE hour = ?", hour)
    events = [f"{kind}: {text}" for kind, text in journal.rows("SELECT kind, text FROM events WHERE hour = ?", hour)]
    no_decision = decided[0][1] if decided else None
    return {"hour": shown(hour), "status": status, "detail": detail, "no_decision": no_decision, "events": events}


def _at_exchanges(status: dict[str, Any]) -> str:
    """Costs that only margin by exchange has."""
    liquidations, transfers = status["liquidation_fees_usd"], status["transfer_costs_usd"]
    told = (("liquidation fees", liquidations), ("transfers", transfers))
    return "".join(f", {name} {-cost:+,.2f}" for name, cost in told if cost)


def lines_of(status: dict[str, Any], width: int) -> list[str]:
    """The same for people; what is longer than ``width`` is cut (the JSON has all of it)."""
    return [line if len(line) <= width else f"{line[: width - 3]}..." for line in _lines(status)]


def _lines(status: dict[str, Any]) -> Iterator[str]:
    yield f"{status['health']}: {status['why']}"
    yield f"{status['strategy']} ({status['mode']}), last hour {status['last_hour'] or '-'}"
    assumed = assumed_words(status)
    yield (
        f"equity {status['equity_usd']:,.2f} USD, P&L {status['pnl_usd']:+,.2f} USD "
        f"({status['pnl_pct']:+.3f} %{f', {assumed}' if assumed else ''}) in {status['trades']} trades"
    )
    yield (
        f"  funding {status['funding_usd']:+,.2f} ({status[METRIC]:.0f} % assumed), "
        f"price {status['realised_price_usd']:+,.2f}, fees {-status['fees_usd']:+,.2f}, "
        f"unrealised {status['unrealised_usd']:+,.2f}{_at_exchanges(status)}"
    )
    yield f"  pending funding {status['pending_funding_usd']:+,.4f} USD (not in equity)"
    if status["usdc_at_par"]:
        yield f"  USDC counts as USDT at par: {', '.join(status['usdc_at_par'])}"
    for entry in status["pending_entries"]:
        yield f"ordered: {entry['symbol']}, long {entry['long_exchange']}, short {entry['short_exchange']}"
    for position in status["positions"]:
        yield from _position_lines(position)
    for slot in status["hours"]:
        yield f"{slot['hour']} {slot['status']}: {slot['detail']}"
        yield from (f"  {event}" for event in slot["events"])
        if slot["no_decision"]:
            yield f"  no_decision: {slot['no_decision']}"


def _position_lines(position: dict[str, Any]) -> Iterator[str]:
    yield (
        f"slot {position['slot'] + 1}: {position['symbol']}, {position['notional_usd']:,.0f} USD a leg since "
        f"{position['opened_hour']}{', leaving' if position['leaving'] else ''}"
    )
    yield (
        f"  P&L {position['pnl_usd']:+,.2f} USD ({position['pnl_pct']:+.3f} %): "
        f"price {position['price_pnl_usd']:+,.2f}, funding {position['funding_usd']:+,.2f}, "
        f"fees {-position['entry_fees_usd']:+,.2f}"
    )
    for leg in position["legs"]:
        yield from (f"  {line}" for line in _leg_lines(leg))


def _leg_lines(leg: dict[str, Any]) -> Iterator[str]:
    # States of older versions have no running rate.
    rates = (leg["last_settled_rate"], leg.get("running_rate"))
    rate, running = ("unknown" if value is None else f"{100 * value:.4f} %" for value in rates)
    interval = "?" if leg["interval_hours"] is None else f"{leg['interval_hours']:g}"
    stale = f", no price for {leg['stale_hours']} h" if leg["stale_hours"] else ""
    price = "unknown" if leg["price"] is None else f"{leg['price']:g}"
    yield f"{leg['side']} {leg['exchange']} at {leg['entry_price']:g}, now {price}{stale}"
    missing = f" ({leg['settlements_missing']} missing)" if leg["settlements_missing"] else ""
    yield (
        f"  last rate {rate} per {interval} h{missing}, running {running}, "
        f"next {leg['next_settlement_hour'] or '-'}, pending {leg['pending_funding_usd']:+.4f} USD"
    )
