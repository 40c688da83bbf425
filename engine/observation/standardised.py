"""Observation version 1: the portfolio, and features of ranked opportunities standardised on training hours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from engine.accounting.books import Books
from engine.accounting.codes import OPEN
from engine.accounting.entries import is_held
from engine.accounting.margin import liquidation_distance
from engine.accounting.marking import open_notional, position_pnl
from engine.accounting.tape import TapeArrays
from engine.compiled import compiled, hourly
from engine.market.data import Floats, Ints
from engine.observation.features import COLUMN
from engine.observation.opportunities import OpportunityBuilder, rank
from engine.observation.ranked import Ranked, blank_pairs
from engine.observation.spec import MOST_OBSERVED, PORTFOLIO_VALUES, SLOT_VALUES, Float32s, ObservationSpec, Scaler


class Numbers(NamedTuple):
    """A spec and scaler as the compiled code reads them."""

    columns: Ints  # [features] column of the feature matrix
    mean: Floats
    deviation: Floats
    ranking: int


@dataclass(frozen=True, eq=False)
class Standardised:
    """How version 1 sees an hour."""

    spec: ObservationSpec
    numbers: Numbers

    @classmethod
    def of(cls, spec: ObservationSpec, scaler: Scaler) -> Standardised:
        """Of a spec and a scaler that belong together."""
        columns = np.array([COLUMN[name] for name in spec.features], np.int64)
        return cls(spec, Numbers(columns, np.array(scaler.mean), np.array(scaler.deviation), COLUMN[spec.ranking]))

    def blank(self, builder: OpportunityBuilder, hours: int) -> Ranked:  # noqa: ARG002  # needs no market
        """Room for some hours, in which nothing is ranked yet."""
        return Ranked(*blank_pairs(self.spec, hours, len(self.spec.features)), None)

    def rank(
        self,
        builder: OpportunityBuilder,  # noqa: ARG002  # ``hour`` has all that it needs
        t: int,  # noqa: ARG002
        hour: tuple[Floats, Any],
        ranked: Ranked,
        at: int,
    ) -> int:
        """Rank the pairs of row t into hour ``at`` of ``ranked``; place of a value beyond any market, else -1."""
        return int(rank_standardised(self.numbers, *hour, ranked.pairs[at], ranked.values[at]))

    def absurd(self, builder: OpportunityBuilder, t: int, pair: int, j: int) -> str:
        """What is wrong with value j of a pair at row t."""
        numbers = self.numbers
        value = float(builder.at(t)[0][pair, numbers.columns[j]])
        return (
            f"{self.spec.features[j]} is {value:g}, {abs(value - numbers.mean[j]) / numbers.deviation[j]:.3g} "
            "deviations from what the scaler knows: a wrong unit or price, or a scaler of other data"
        )

    def unscaled(self, builder: OpportunityBuilder, t: int, pair: int) -> Floats:
        """The features of a pair at row t before they are standardised ``[features]``, nan where unknown."""
        features: Floats = builder.at(t)[0][pair, self.numbers.columns]
        return features


@hourly
def scaled(value: float, mean: float, deviation: float) -> float:
    """A feature as it is shown; nan where it is unknown."""
    return (value - mean) / deviation


@hourly
def put_position(pnl: float, hours: float, funding: float, out: Float32s) -> None:
    """Of an open position: P&L in % of 2N, hours held, net funding in % of 2N."""
    out[0], out[1], out[2] = pnl, hours / 72.0, funding


@hourly
def put_account(equity: float, committed: float, open_share: float, drawdown: float, out: Float32s) -> None:
    """Equity by initial capital, sum(2N) by equity, share of open slots, drawdown in %."""
    out[0], out[1], out[2] = equity, committed, open_share
    out[3], out[4] = 100.0 * (equity - 1.0), drawdown


@compiled
def rank_standardised(encoding: Numbers, features: Floats, offered: Any, pairs: Ints, values: Float32s) -> int:
    """Ranked candidates of an hour: ``pairs`` ``[K]`` (-1: fewer), scaled ``values`` ``[K, features]``.

    Returns the place in the flat ``values`` of one beyond ``MOST_OBSERVED``, -1 where there is none.
    """
    n = rank(np.ascontiguousarray(features[:, encoding.ranking]), offered, pairs)
    pairs[n:] = -1
    values[:] = 0.0
    absurd = -1
    width = encoding.columns.shape[0]
    for k in range(n):
        for j in range(width):
            value = scaled(features[pairs[k], encoding.columns[j]], encoding.mean[j], encoding.deviation[j])
            # Zero is the mean once it is scaled: what is not known speaks for nothing.
            values[k, j] = 0.0 if np.isnan(value) else value
            if abs(value) > MOST_OBSERVED:
                absurd = k * width + j
    return absurd


@hourly
def _encode_portfolio(tape: TapeArrays, books: Books, b: int, t: int, with_distance: bool, out: Float32s) -> None:
    portfolio, capital = books.portfolios[b], tape.rules[0].initial_capital
    slots = books.slots.shape[1]
    committed, held = 0.0, 0
    for s in range(slots):
        slot = books.slots[b, s]
        at = PORTFOLIO_VALUES + SLOT_VALUES * s
        if with_distance:
            at += s
            out[at + 3] = liquidation_distance(tape, books, b, s, t) if slot.status == OPEN else 0.0
        out[at : at + SLOT_VALUES] = 0.0
        if slot.status == OPEN:
            committed, held = committed + open_notional(books, b, s), held + 1
            pnl = 100.0 * position_pnl(tape, books, b, s, t) / (2.0 * slot.notional)
            funding = 100.0 * slot.funding / (2.0 * slot.notional)
            put_position(pnl, t - slot.opened, funding, out[at : at + SLOT_VALUES])
    # The peak is raised at the end of an hour only, so equity may stand above it here.
    drawdown = max(0.0, 100.0 * (1.0 - portfolio.equity / portfolio.peak))
    put_account(portfolio.equity / capital, committed / portfolio.equity, held / slots, drawdown, out)


@hourly
def encode_standardised(
    tape: TapeArrays, books: Books, b: int, t: int, pairs: Ints, values: Float32s, visible: Ints, out: Float32s
) -> None:
    """Observation of portfolio b at row t into ``out``; ``visible`` ``[O]`` gets the pairs shown (-1: none).

    The length of ``out`` says whether each slot has the distance to liquidation.
    """
    width, opportunities = values.shape[1], visible.shape[0]
    start = PORTFOLIO_VALUES + SLOT_VALUES * books.slots.shape[1]
    with_distance = start + width * opportunities < out.shape[0]
    if with_distance:
        start += books.slots.shape[1]
    _encode_portfolio(tape, books, b, t, with_distance, out)
    shown = 0
    for k in range(pairs.shape[0]):
        if shown == opportunities or pairs[k] < 0:
            break
        # Held pairs are left out here and not from the ranking, which is the same for every portfolio.
        if not is_held(tape, books, b, pairs[k]):
            visible[shown] = pairs[k]
            at = start + shown * width
            for j in range(width):
                out[at + j] = values[k, j]
            shown += 1
    visible[shown:] = -1
    out[start + shown * width :] = 0.0
