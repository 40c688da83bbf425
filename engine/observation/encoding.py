"""What a policy sees: the one observation encoder (docs/design.md section 6; ``actions`` has what it may answer).

An observation is built from the books of one portfolio and the ranked candidates of one hour. Training reads the
candidates from a table that was made beforehand, backtest and paper trading rank them at the hour; both go through
``rank_hour`` and ``encode`` and give the same bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from engine.accounting.books import Books
from engine.accounting.codes import OPEN
from engine.accounting.entries import is_held
from engine.accounting.margin import liquidation_distance
from engine.accounting.marking import open_notional, position_pnl
from engine.accounting.tape import TapeArrays
from engine.compiled import compiled, hourly
from engine.errors import DataError, UserError
from engine.market.data import Floats, Ints
from engine.observation.actions import action_count
from engine.observation.features import COLUMN, FEATURES
from engine.observation.opportunities import OpportunityBuilder, rank
from engine.settings import Settings, hash_of
from engine.windows import time_of

V1_FEATURES = tuple(FEATURES)[:22]
PORTFOLIO_VALUES = 5
SLOT_VALUES = 3
MOST_OBSERVED = 1e6
"""A value beyond this is no market: a wrong unit, a price that never was, a scaler of other data. tanh saturates long
before, so that a policy would answer it without hesitation."""
ROUNDING = 1e-9
"""A feature that deviates less, as a part of its mean, is constant."""

Float32s = NDArray[np.float32]


class ObservationSpec(Settings):
    """Layout of the observation: a change of any value changes the hash, and bundles refuse another hash.

    Values in order: equity / initial capital, sum(2N) / equity, open positions / P, total P&L in % of initial
    capital, drawdown in %; per slot P&L in % of 2N (price, funding and fees so far), hours held / 72, net funding in
    % of 2N, and with ``liquidation_distance`` the smallest fraction by which a price may move against a leg until it
    is liquidated (0 to 1; 1 when the account is pooled); then per ranked opportunity the standardised features. Empty
    slots and unknown features are zero.
    """

    version: int = Field(default=1, ge=1, le=1)
    positions: int = Field(default=3, ge=1, le=64)
    opportunities: int = Field(default=5, ge=1, le=64)
    ranking: str = "fund_apr"
    features: tuple[str, ...] = V1_FEATURES
    liquidation_distance: bool = False

    def hash(self) -> str:
        """Without ``liquidation_distance`` the hash is that of specs from before there was such a choice."""
        unused = set() if self.liquidation_distance else {"liquidation_distance"}
        return hash_of(self.model_dump(mode="json", exclude=unused))

    @field_validator("ranking")
    @classmethod
    def _known_ranking(cls, value: str) -> str:
        if value not in COLUMN:
            raise ValueError(f"unknown feature; choose one of {', '.join(COLUMN)}")
        return value

    @field_validator("features")
    @classmethod
    def _known_features(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in value if name not in COLUMN]
        if unknown or not value:
            raise ValueError(f"unknown features {unknown}; choose from {', '.join(COLUMN)}")
        return value

    @property
    def size(self) -> int:
        """Length of the observation."""
        slot_values = SLOT_VALUES + self.liquidation_distance
        return PORTFOLIO_VALUES + slot_values * self.positions + len(self.features) * self.opportunities

    @property
    def actions(self) -> int:
        """Number of actions: hold, enter opportunity 1..O, exit position 1..P."""
        return action_count(self.opportunities, self.positions)

    @property
    def candidates(self) -> int:
        """How many ranked pairs suffice: every held pair can hide itself and its mirror."""
        return self.opportunities + 2 * self.positions


class Scaler(Settings):
    """Mean and standard deviation per feature of a spec, fitted on training hours only."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @field_validator("deviation")
    @classmethod
    def _positive(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(not deviation > 0 for deviation in value):
            raise ValueError("deviations must be positive (a constant feature counts as 1)")
        return value


class Encoding(NamedTuple):
    """A spec and scaler as the compiled encoder reads them."""

    columns: Ints  # [features] column of the feature matrix
    mean: Floats
    deviation: Floats
    ranking: int
    opportunities: int


def encoding_of(spec: ObservationSpec, scaler: Scaler) -> Encoding:
    """Raises ``UserError`` when spec and scaler do not belong together."""
    if len(scaler.mean) != len(spec.features) or len(scaler.deviation) != len(spec.features):
        raise UserError(f"the scaler has {len(scaler.mean)} features, the observation spec {len(spec.features)}")
    columns = np.array([COLUMN[name] for name in spec.features], np.int64)
    mean, deviation = np.array(scaler.mean), np.array(scaler.deviation)
    return Encoding(columns, mean, deviation, COLUMN[spec.ranking], spec.opportunities)


@compiled
def rank_hour(encoding: Encoding, features: Floats, offered: Any, pairs: Ints, values: Float32s) -> int:
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
            value = (features[pairs[k], encoding.columns[j]] - encoding.mean[j]) / encoding.deviation[j]
            # Zero is the mean once it is scaled: what is not known speaks for nothing.
            values[k, j] = 0.0 if np.isnan(value) else value
            if abs(value) > MOST_OBSERVED:
                absurd = k * width + j
    return absurd


def absurd_value(
    builder: OpportunityBuilder, t: int, spec: ObservationSpec, encoding: Encoding, absurd: int, pairs: Ints
) -> DataError:
    """The error about a value that ``rank_hour`` found at row ``t``: feature, pair and hour."""
    k, j = divmod(absurd, len(spec.features))
    value = float(builder.at(t)[0][pairs[k], encoding.columns[j]])
    return DataError(
        f"{spec.features[j]} is {value:g}, {abs(value - encoding.mean[j]) / encoding.deviation[j]:.3g} deviations from "
        "what the scaler knows: a wrong unit or price, or a scaler of other data",
        coin="{} long {} short {}".format(*builder.tape.pair_name(int(pairs[k]))),
        hour=f"{time_of(int(builder.tape.market.hours[t])):%Y-%m-%dT%H:%MZ}",
    )


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
            out[at] = 100.0 * position_pnl(tape, books, b, s, t) / (2.0 * slot.notional)
            out[at + 1] = (t - slot.opened) / 72.0
            out[at + 2] = 100.0 * slot.funding / (2.0 * slot.notional)
    out[0] = portfolio.equity / capital
    out[1] = committed / portfolio.equity
    out[2] = held / slots
    out[3] = 100.0 * (portfolio.equity / capital - 1.0)
    # The peak is raised at the end of an hour only, so equity may stand above it here.
    out[4] = max(0.0, 100.0 * (1.0 - portfolio.equity / portfolio.peak))


@hourly
def encode(
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


def _unscaled(spec: ObservationSpec) -> Encoding:
    return encoding_of(spec, Scaler(mean=(0.0,) * len(spec.features), deviation=(1.0,) * len(spec.features)))


def fit_scaler(builder: OpportunityBuilder, spec: ObservationSpec, first: int, last: int) -> Scaler:
    """Mean and population deviation of each feature over the offered pairs of rows first..last (training only).

    Every hour's top ``spec.candidates`` pairs count, since these are what the policy is shown. A deviation of zero
    counts as 1, and so does one that is rounding. Raises ``UserError`` when no pair is offered in the window, and
    ``DataError`` for a feature that is infinite.
    """
    columns = [COLUMN[name] for name in spec.features]
    shown = np.empty(spec.candidates, np.int64)
    rows: list[Floats] = []
    for t in range(first, last + 1):
        features, offered = builder.at(t)
        n = rank(np.ascontiguousarray(features[:, COLUMN[spec.ranking]]), offered, shown)
        rows.append(features[shown[:n]][:, columns])
        if np.isinf(rows[-1]).any():
            raise absurd_value(builder, t, spec, _unscaled(spec), int(np.isinf(rows[-1]).argmax()), shown)
    values = np.concatenate(rows) if rows else np.empty((0, len(columns)))
    if not len(values):
        raise UserError("no opportunity is offered in the training window, so a scaler cannot be fitted")
    known = ~np.isnan(values)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0.0).sum(axis=0) / count
    deviation = np.sqrt((np.where(known, values - mean, 0.0) ** 2).sum(axis=0) / count)
    # Divided by the rounding of a constant, its first real change would dwarf every other input.
    deviation = np.where(deviation > ROUNDING * np.abs(mean), deviation, 1.0)
    return Scaler(mean=tuple(mean.tolist()), deviation=tuple(deviation.tolist()))
