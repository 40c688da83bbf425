"""What a policy sees: the one observation encoder (docs/design.md section 6; ``actions`` has what it may answer).

An observation is built from the books of one portfolio and the ranked candidates of one hour. Training reads the
candidates from a table that was made beforehand, backtest and paper trading rank them at the hour; both go through
``rank_hour`` and ``encode`` and give the same bits. Version 1 of the layout is in ``standardised``, version 2 in
``transformed``; what they have in common is ``Encoding``.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from engine.accounting.books import Books
from engine.accounting.tape import TapeArrays
from engine.compiled import hourly
from engine.errors import DataError, UserError
from engine.market.data import Floats, Ints
from engine.observation.features import COLUMN
from engine.observation.opportunities import OpportunityBuilder, rank
from engine.observation.ranked import Ranked
from engine.observation.spec import MOST_OBSERVED, V1_FEATURES, Float32s, ObservationSpec, Scaler
from engine.observation.standardised import Standardised, encode_standardised
from engine.observation.transformed import Live, Transformed, encode_transformed
from engine.windows import time_of

__all__ = [
    "MOST_OBSERVED", "V1_FEATURES", "Encoding", "Float32s", "ObservationSpec", "Ranked", "Scaler", "encode",
    "encoding_of", "fit_scaler", "rank_hour",
]  # fmt: skip

ROUNDING = 1e-9
"""A feature that deviates less, as a part of its mean, is constant."""


class Encoding(Protocol):
    """How a version of the layout ranks the pairs of an hour, before anybody's books are looked at."""

    @property
    def spec(self) -> ObservationSpec: ...

    def blank(self, builder: OpportunityBuilder, hours: int) -> Ranked:
        """Room for some hours, in which nothing is ranked yet."""

    def rank(self, builder: OpportunityBuilder, t: int, hour: tuple[Floats, Any], ranked: Ranked, at: int) -> int:
        """Rank the pairs of row t into hour ``at`` of ``ranked``; place of a value beyond any market, else -1."""

    def absurd(self, builder: OpportunityBuilder, t: int, pair: int, j: int) -> str:
        """What is wrong with value j of a pair at row t."""

    def unscaled(self, builder: OpportunityBuilder, t: int, pair: int) -> Floats:
        """The values of a pair at row t as they were before they were scaled, nan where unknown."""


def encoding_of(spec: ObservationSpec, scaler: Scaler) -> Encoding:
    """Raises ``UserError`` when spec and scaler do not belong together."""
    if len(scaler.mean) != len(spec.features) or len(scaler.deviation) != len(spec.features):
        raise UserError(f"the scaler has {len(scaler.mean)} features, the observation spec {len(spec.features)}")
    return Standardised.of(spec, scaler) if spec.version == 1 else Transformed(spec)


def rank_hour(
    encoding: Encoding, builder: OpportunityBuilder, t: int, hour: tuple[Floats, Any], ranked: Ranked, at: int
) -> None:
    """Ranked candidates of row t into hour ``at`` of ``ranked``; ``hour`` is what ``builder.at(t)`` gives.

    Raises ``DataError`` for a value that no market has.
    """
    absurd = encoding.rank(builder, t, hour, ranked, at)
    if absurd >= 0:
        k, j = divmod(absurd, ranked.values.shape[2])
        raise _absurd_value(encoding, builder, t, int(ranked.pairs[at, k]), j)


def _absurd_value(encoding: Encoding, builder: OpportunityBuilder, t: int, pair: int, j: int) -> DataError:
    return DataError(
        encoding.absurd(builder, t, pair, j),
        coin="{} long {} short {}".format(*builder.tape.pair_name(pair)),
        hour=f"{time_of(int(builder.tape.market.hours[t])):%Y-%m-%dT%H:%MZ}",
    )


@hourly
def _encode_hour(
    tape: TapeArrays, books: Books, b: int, t: int, at: int, ranked: Ranked, live: Live | None, visible: Ints,
    out: Float32s,
) -> None:  # fmt: skip
    # An argument of its own: where it is None the compiler leaves version 2 out, and else version 1.
    if live is None:
        encode_standardised(tape, books, b, t, ranked.pairs[at], ranked.values[at], visible, out)
    else:
        encode_transformed(tape, books, b, t, at, ranked.pairs[at], ranked.values[at], live, visible, out)


@hourly
def encode(
    tape: TapeArrays, books: Books, b: int, t: int, at: int, ranked: Ranked, visible: Ints, out: Float32s
) -> None:
    """Observation of portfolio b at row t into ``out``, from hour ``at`` of ``ranked``.

    ``visible`` ``[O]`` gets the pairs shown (-1: none).
    """
    _encode_hour(tape, books, b, t, at, ranked, ranked.live, visible, out)


def _unscaled(spec: ObservationSpec) -> Encoding:
    return encoding_of(spec, Scaler(mean=(0.0,) * len(spec.features), deviation=(1.0,) * len(spec.features)))


def fit_scaler(builder: OpportunityBuilder, spec: ObservationSpec, first: int, last: int) -> Scaler:
    """Mean and population deviation of each feature over the offered pairs of rows first..last (training only).

    Version 2 is not standardised: its scaler is empty. Every hour's top ``spec.candidates`` pairs count, since these
    are what the policy is shown. A deviation of zero counts as 1, and so does one that is rounding. Raises
    ``UserError`` when no pair is offered in the window, and ``DataError`` for a feature that is infinite.
    """
    if not spec.features:
        return Scaler(mean=(), deviation=())
    columns = [COLUMN[name] for name in spec.features]
    shown = np.empty(spec.candidates, np.int64)
    rows: list[Floats] = []
    for t in range(first, last + 1):
        features, offered = builder.at(t)
        n = rank(np.ascontiguousarray(features[:, COLUMN[spec.ranking]]), offered, shown)
        rows.append(features[shown[:n]][:, columns])
        if np.isinf(rows[-1]).any():
            k, j = divmod(int(np.isinf(rows[-1]).argmax()), len(columns))
            raise _absurd_value(_unscaled(spec), builder, t, int(shown[k]), j)
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
