"""Short runs written out by hand: a sketched market, orders by row, and what the engine made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from reference_records import Enter, Exit
from scripted import Scripted
from small_market import LegSketch, plain_settings, small_market

from engine.accounting.books import Kind, Leg, NoteKind, Reason
from engine.accounting.records import Records
from engine.accounting.tape import Tape, prepare
from engine.backtest import run_backtest
from engine.market.data import MarketData
from engine.market.schedule import ACTUAL
from engine.observation.opportunities import OpportunityBuilder

ALPHA, BETA, GAMMA = (("BTCUSDT", exchange) for exchange in ("alpha", "beta", "gamma"))
ENTER = Enter("BTCUSDT", "alpha", "beta")
"""Long on alpha (taker 0.05 %), short on beta (0.06 %)."""

Orders = Mapping[int, Sequence[Enter | Exit]]


def near(value: Any) -> Any:
    return pytest.approx(value, rel=1e-12, abs=1e-12)


@dataclass(frozen=True)
class Played:
    """A run from the first to the last hour of its market."""

    records: Records
    tape: Tape
    market: MarketData

    def booked(self, kind: str) -> list[tuple[int, str, Any]]:
        """(row, leg, amount in USD) of every ledger entry of a kind."""
        ledger = self.records.ledger
        rows = ledger[ledger["kind"] == int(Kind[kind.upper()])]
        return [(int(row["hour"]), Leg(row["side"]).name.lower(), float(row["amount"])) for row in rows]

    def assumed(self) -> list[int]:
        """Rows at which funding was booked that nobody had settled, or taken back."""
        return self.records.ledger["hour"][self.records.ledger["booking"] != ACTUAL].tolist()

    def refusals(self) -> list[tuple[int, str, str]]:
        """(row, refused or cancelled, reason)."""
        return [
            (int(note["hour"]), NoteKind(note["kind"]).name.lower(), Reason(note["reason"]).name.lower())
            for note in self.records.notes
        ]

    def exits(self) -> list[tuple[int, str]]:
        """(row, reason) of every close."""
        return [(int(trade["closed"]), Reason(trade["reason"]).name.lower()) for trade in self.records.trades]

    def equity(self, row: int) -> float:
        return float(self.records.hours["equity"][row])


def play(
    legs: Mapping[tuple[str, str], LegSketch], hours: int, orders: Orders | None = None, **settings: Any
) -> Played:
    """Run orders over a sketched market; one position of 5,000 USD per leg unless the settings say otherwise."""
    market = small_market(legs, hours)
    tape = prepare(market, plain_settings(**settings))
    records = run_backtest(OpportunityBuilder(tape), Scripted(market, orders or {0: [ENTER]}), 0, hours - 1)
    return Played(records, tape, market)


def play_pair(
    long_leg: LegSketch, short_leg: LegSketch, hours: int, orders: Orders | None = None, **more: Any
) -> Played:
    """Alpha against beta: q = 50 at prices of 100."""
    return play({ALPHA: long_leg, BETA: short_leg}, hours, orders, **more)


def features_at(played: Played, row: int) -> Any:
    """Feature matrix of a row."""
    return OpportunityBuilder(played.tape).at(row)[0]


def offered_at(played: Played, row: int) -> list[bool]:
    return [bool(one) for one in np.asarray(OpportunityBuilder(played.tape).at(row)[1])]
