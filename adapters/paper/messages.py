"""What an hour has to say to people: lines for terminal, log and notifications."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.paper.day import Day, day_before
from adapters.paper.drawdown import drawdowns_pct, is_crossed_at_last
from adapters.paper.journal_reader import JournalReader
from adapters.paper.session import Played
from engine.accounting.books import Reason
from engine.accounting.records import trade_pnl
from engine.observation.clock import BETWEEN_DECISIONS
from engine.windows import time_of

PairName = Callable[[int], str]
GOOD = ("ok", "history", "closed")
SHOWN = 5
"""So many of the events of an hour are told in full; the journal has all."""


@dataclass(frozen=True)
class Message:
    """``occasion`` is one of ``settings.Occasion``, or ``hour``, ``event``."""

    occasion: str
    text: str


def messages_of(hour: Played, before: str | None, pair_name: PairName) -> list[Message]:
    """Entries, exits, changes of health and the hour itself; ``before`` is the status of the hour before."""
    at = shown(hour.hour)
    found = [Message("exit", f"{at} left {text}") for text in _exits(hour, pair_name)]
    found += [Message("entry", f"{at} entered {text}") for text in _entries(hour)]
    found += [Message("event", f"{at} {text}") for text in _events(hour)]
    unasked = hour.decision.no_decision
    # An hour between decisions is as it should be: nobody wants a message about it.
    if unasked is not None and hour.status != "closed" and not unasked.startswith(BETWEEN_DECISIONS):
        found.append(Message("no_decision", f"{at} no_decision: {unasked}"))
    # Told when it begins and when it ends: a notification every hour of a long outage would be read by nobody.
    if hour.status == "degraded" and before != "degraded":
        why = in_short([event.text for event in hour.events]) or hour.decision.no_decision
        found.append(Message("degraded", f"{at} degraded: {why}"))
    if hour.status == "ok" and before not in (None, *GOOD):
        found.append(Message("recovered", f"{at} recovered: every exchange answered"))
    equity, held = hour.report["equity_usd"], len(hour.report["positions"])
    found.append(Message("hour", f"{at} {hour.status}: equity {equity:,.2f} USD, {held} positions"))
    return found


def messages_of_money(journal: JournalReader, hour: int, drawdown_limit_pct: float) -> list[Message]:
    """What the journal alone says at an hour: the day that ended with it, a drawdown beyond the limit.

    The same whenever it is asked, so that a restart neither forgets nor repeats one.
    """
    found = [] if (day := day_before(journal, hour)) is None else [Message("daily", _daily(day))]
    drawdowns = drawdowns_pct(journal, hour)
    if is_crossed_at_last(drawdowns, drawdown_limit_pct):
        told = f"equity is {drawdowns[-1]:.2f} % below its peak, more than {drawdown_limit_pct:g} %"
        found.append(Message("drawdown", f"{shown(hour)} drawdown: {told}"))
    return found


def in_short(texts: Sequence[str]) -> str:
    """The first few of many texts in one line, and how many more there are."""
    more = [f"... and {len(texts) - SHOWN} more"] if len(texts) > SHOWN else []
    return "; ".join([*texts[:SHOWN], *more])


def shown(hour: int) -> str:
    """An hour number as people read it."""
    return f"{time_of(hour):%Y-%m-%dT%H:%MZ}"


def _daily(day: Day) -> str:
    share = "-" if day.pnl_pct is None else f"{day.pnl_pct:+.3f}"
    return (
        f"{day.day} daily: equity {day.equity_usd:,.2f} USD, P&L {day.pnl_usd:+,.2f} USD ({share} %), "
        f"funding {day.funding_usd:+,.2f}, fees {-day.fees_usd:+,.2f}, trades closed {day.trades}, "
        f"positions open {day.open_positions}; {day.hours} hours, {day.missed} missed, {day.degraded} degraded"
    )


def _entries(hour: Played) -> list[str]:
    return [_entry(position) for position in hour.report["positions"] if position["opened_hour"] == hour.hour]


def _events(hour: Played) -> list[str]:
    """A line for each event; of values that are not believed the first few: a whole exchange may be wrong at once."""
    refused = [f"{event.kind}: {event.text}" for event in hour.events if event.refusal is not None]
    others = [f"{event.kind}: {event.text}" for event in hour.events if event.refusal is None]
    more = [f"{len(refused) - SHOWN} more values are not believed"] if len(refused) > SHOWN else []
    return [*others, *refused[:SHOWN], *more]


def _entry(position: dict[str, Any]) -> str:
    long_leg, short_leg = position["legs"]
    return (
        f"{position['symbol']}: long {long_leg['exchange']} at {long_leg['entry_price']:g}, "
        f"short {short_leg['exchange']} at {short_leg['entry_price']:g}, {position['notional_usd']:,.0f} USD a leg"
    )


def _exits(hour: Played, pair_name: PairName) -> list[str]:
    trades = hour.records.trades
    return [
        f"{pair_name(int(trade['pair']))} after {int(trade['closed'] - trade['opened'])} h "
        f"({Reason(int(trade['reason'])).name.lower()}): {pnl:+,.2f} USD"
        for trade, pnl in zip(trades, trade_pnl(trades), strict=True)
    ]
