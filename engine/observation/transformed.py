"""Observation version 2: what ``values`` lists, of candidates and of held pairs as they are now, with the mask.

``pair_values`` is the one place that makes the values of a pair: of candidates once an hour for every portfolio, of
held pairs, whatever they are, when a portfolio is observed. Recorded opportunities say which pairs are offered; what
is shown of them is derived from prices and settlements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from engine.accounting.books import Books
from engine.accounting.codes import LONG, OPEN, PENDING, SHORT
from engine.accounting.entries import is_held
from engine.accounting.margin import free_margin_share, leg_distance
from engine.accounting.marking import position_pnl, stale_hours, unrealised_price_pnl
from engine.accounting.tape import TapeArrays
from engine.compiled import compiled, hourly, seldom
from engine.market.data import Floats, Ints
from engine.observation import values as names
from engine.observation.actions import action_mask
from engine.observation.costs import round_trip_bps
from engine.observation.features import COLUMN, DAYS, Tables, daily_net_spread, pair_features, whole_days
from engine.observation.opportunities import OpportunityBuilder, rank
from engine.observation.ranked import Ranked, blank_pairs
from engine.observation.spec import MOST_OBSERVED, Float32s, ObservationSpec

CONTEXT, PAIR, SLOT = len(names.CONTEXT), len(names.PAIR), len(names.SLOT)
INTERVAL_LONG, INTERVAL_SHORT = (list(names.PAIR).index(f"interval_{side}") for side in ("long", "short"))
SWITCH_ROUND_TRIPS = 5.0
"""Of the best candidate: a switch that gains less is worth no trade."""
NF_24H, NF_72H, NF_168H = (COLUMN[f"net_funding_{hours}h_bps"] for hours in (24, 72, 168))
SPREAD, MEAN_8H, MEAN_24H, MEAN_72H, DEVIATION = (
    COLUMN[name]
    for name in ("spread", "spread8hAvg", "priceSpread24hAvg", "priceSpread3dAvg", "spread_volatility_stddev")
)
DAILY_THIRD, VOLUME, LONG_HOURS, SHORT_HOURS = (
    COLUMN[name] for name in ("fund_profit_8h", "log_volume_24h", "long_interval_8h", "short_interval_8h")
)
BEST_OF_CONTEXT = 5
"""How many candidates the means of the context are of."""
SCRATCH_ROWS = 5


class Live(NamedTuple):
    """What the values of a pair at any hour are made of, and what of an hour is more than its candidates."""

    tables: Tables
    bits: Ints  # [exchanges of the market] place among those of the spec, -1: none
    counts: Ints  # [2] exchanges of the spec, 1 with wallets
    figures: Floats  # [hours, K, 3] NF 24 h and 168 h of the candidates, and V, bps
    offered: Ints  # [hours] offered pairs
    scratch: Floats  # [5, features] room to reckon in


@dataclass(frozen=True, eq=False)
class Transformed:
    """How version 2 sees an hour."""

    spec: ObservationSpec

    def blank(self, builder: OpportunityBuilder, hours: int) -> Ranked:
        """Room for some hours, in which nothing is ranked yet."""
        spec, exchanges = self.spec, builder.tape.market.exchanges
        places = {name: k for k, name in enumerate(spec.exchanges)}
        live = Live(
            builder.tables,
            np.array([places.get(name, -1) for name in exchanges], np.int64),
            np.array([len(spec.exchanges), spec.wallets], np.int64),
            np.zeros((hours, spec.candidates, 3)),
            np.zeros(hours, np.int64),
            np.zeros((SCRATCH_ROWS, max(len(COLUMN), DAYS))),
        )
        return Ranked(*blank_pairs(spec, hours, PAIR + 2 * len(spec.exchanges)), live)

    def rank(self, builder: OpportunityBuilder, t: int, hour: tuple[Floats, Any], ranked: Ranked, at: int) -> int:
        """Rank the pairs of row t into hour ``at`` of ``ranked``; place of a value beyond any market, else -1."""
        arrays, live = builder.tape.arrays, ranked.live
        return int(rank_transformed(arrays, live, t, at, hour[1], ranked.pairs[at], ranked.values[at]))

    def absurd(self, builder: OpportunityBuilder, t: int, pair: int, j: int) -> str:  # noqa: ARG002  # says which
        """What is wrong with value j of a pair at row t."""
        return f"{list(names.PAIR)[j]} is beyond any market: a wrong unit or price"

    def unscaled(self, builder: OpportunityBuilder, t: int, pair: int) -> Floats:
        """The values of a pair at row t before they are transformed ``[PAIR]``, nan where unknown."""
        facts = np.empty(PAIR)
        pair_facts(builder.tape.arrays, self.blank(builder, 1).live, pair, t, facts)
        return facts


@hourly
def _known(transformed: float, argument: float) -> float:
    """A value as it is shown: 0 where it is unknown, infinite where its argument is beyond any market."""
    if np.isnan(transformed):
        return 0.0
    return float(transformed if abs(argument) <= MOST_OBSERVED else np.inf)


@hourly
def _asinh(value: float, unit: float) -> float:
    return float(_known(np.arcsinh(value / unit), value / unit))


@hourly
def _days_of_both(tape: TapeArrays, live: Live, lo: int, sh: int, t: int) -> int:
    days = whole_days(tape, live.tables, lo, t, live.scratch[1])
    return int(min(days, whole_days(tape, live.tables, sh, t, live.scratch[2])))


@hourly
def put_bounds(fact: Floats) -> float:
    """The surplus of three days and the lower bound of a week, from the other facts of a pair; returns V, bps."""
    nf_24h, nf_168h, basis, cost = fact[0], fact[2], fact[6], fact[9]
    promised = 7.0 * (0.25 * nf_24h + 0.75 * nf_168h) - 3.5 * fact[12] + 0.5 * basis
    fact[16], fact[17] = 1.5 * (nf_24h + nf_168h) + basis - 1.5 * cost, promised - 1.5 * cost
    return float(promised)


@seldom
def pair_facts(tape: TapeArrays, live: Live, pair: int, t: int, out: Floats) -> float:
    """What the values of any pair at row t are before they are transformed, into ``out`` ``[PAIR]``; returns V, bps.

    In the units of ``values.PAIR`` (bps, bps per day, hours; volume as log10 of USD), nan where unknown.
    """
    lo, sh, row = tape.pairs[pair].long, tape.pairs[pair].short, live.scratch[0]
    pair_features(tape, live.tables, pair, t, row)
    days = _days_of_both(tape, live, lo, sh, t)
    deviation, lowest = daily_net_spread(live.scratch, 1, 2, days, live.scratch[3])
    # Spreads are fractions.
    now, mean_8h, mean_72h = 1e4 * row[SPREAD], 1e4 * row[MEAN_8H], 1e4 * row[MEAN_72H]
    # A count of hours is always known; it is 0 before the first price.
    age = float(min(tape.quotes[lo, t].fresh_hours, tape.quotes[sh, t].fresh_hours))
    # A third of the daily net in % is 300 times less than it in bps.
    out[0], out[1], out[2], out[3] = row[NF_24H], row[NF_72H], row[NF_168H], 300.0 * row[DAILY_THIRD]
    out[4], out[5], out[6] = now - mean_8h, mean_8h - 1e4 * row[MEAN_24H], mean_8h - mean_72h
    out[7], out[8], out[9] = mean_72h, 1e4 * row[DEVIATION], round_trip_bps(tape, live.tables, pair, t)
    # The features are in 8 h.
    out[10], out[11], out[12], out[13] = row[VOLUME], age, deviation, lowest
    out[14], out[15] = 8.0 * row[LONG_HOURS], 8.0 * row[SHORT_HOURS]
    return float(put_bounds(out))


@hourly
def transform_pair(fact: Floats, out: Float32s) -> None:
    """The facts of a pair ``[PAIR]`` as they are shown."""
    for j in range(PAIR):
        if j < 4 or j == 12 or j == 13:
            out[j] = _asinh(fact[j], 5.0)
        elif j < 9:
            out[j] = _asinh(fact[j], 10.0)
        elif j > 15:
            out[j] = _asinh(fact[j], 30.0)
    out[9], out[10] = _known(fact[9] / 25.0 - 1.0, fact[9] / 25.0), _known(fact[10] - 7.0, fact[10])
    out[11] = np.log1p(fact[11] / 168.0) / 2.0 - 0.5
    out[14], out[15] = _known(fact[14] / 8.0, fact[14] / 8.0), _known(fact[15] / 8.0, fact[15] / 8.0)


@hourly
def put_bits(long_bit: int, short_bit: int, exchanges: int, out: Float32s) -> None:
    """Which exchanges the legs are at, behind the values of a pair; -1: one that has no bit."""
    out[PAIR : PAIR + 2 * exchanges] = 0.0
    for side, bit in ((0, long_bit), (1, short_bit)):
        if bit >= 0:
            out[PAIR + side * exchanges + bit] = 1.0


@seldom
def pair_values(tape: TapeArrays, live: Live, pair: int, t: int, out: Float32s) -> tuple[float, float, float]:
    """The values of any pair at row t into ``out``, without margins; returns its NF 24 h, NF 168 h and V, bps."""
    fact = live.scratch[4]
    promised = pair_facts(tape, live, pair, t, fact)
    transform_pair(fact, out)
    lo, sh = tape.pairs[pair].long, tape.pairs[pair].short
    put_bits(live.bits[tape.legs[lo].exchange], live.bits[tape.legs[sh].exchange], live.counts[0], out)
    return fact[0], fact[2], promised


@compiled
def rank_transformed(tape: TapeArrays, live: Live, t: int, at: int, offered: Any, pairs: Ints, values: Float32s) -> int:
    """Candidates of row t into ``pairs`` ``[K]`` (-1: fewer) and ``values`` ``[K, width]``, and their figures.

    Those that pay: NF 24 h + NF 168 h, each at least 0, above 0; the highest first. Returns the place in the flat
    ``values`` of one that is infinite, -1 where there is none.
    """
    daily_24h, daily_168h = live.tables.daily_24h, live.tables.daily_168h
    keys, count = np.full(offered.shape[0], np.nan), 0
    for p in range(offered.shape[0]):
        if offered[p]:
            count += 1
            lo, sh = tape.pairs[p].long, tape.pairs[p].short
            # Put this way an unknown rate stays unknown.
            day, week = daily_24h[t, sh] - daily_24h[t, lo], daily_168h[t, sh] - daily_168h[t, lo]
            key = (0.0 if day < 0 else day) + (0.0 if week < 0 else week)
            # What is not known is not ranked, and neither is what pays nothing.
            keys[p] = key if key > 0 else np.nan
    live.offered[at] = count
    n = rank(keys, offered, pairs)
    pairs[n:] = -1
    values[:], live.figures[at] = 0.0, np.nan
    absurd = -1
    for k in range(n):
        figures = live.figures[at, k]
        figures[0], figures[1], figures[2] = pair_values(tape, live, pairs[k], t, values[k])
        for j in range(values.shape[1]):
            if absurd < 0 and np.isinf(values[k, j]):
                absurd = k * values.shape[1] + j
    return absurd


@hourly
def _put_margins(tape: TapeArrays, books: Books, b: int, pair: int, out: Float32s) -> None:
    out[0] = free_margin_share(tape, books, b, tape.pairs[pair].long)
    out[1] = free_margin_share(tape, books, b, tape.pairs[pair].short)


@hourly
def put_context(
    shares: tuple[float, float], means: tuple[float, float], offered: int, drawdown: float, out: Float32s
) -> None:
    """Shares of the slots that are open and pending, mean NF 168 h and 24 h, offered pairs and drawdown in %."""
    out[0], out[1] = shares
    out[2], out[3] = _asinh(means[0], 5.0), _asinh(means[1], 5.0)
    out[4] = np.log1p(offered) / 3.0 - 1.0
    out[5] = drawdown / 3.0


@hourly
def _put_context(books: Books, b: int, live: Live, at: int, means: tuple[float, float], out: Float32s) -> None:
    portfolio, slots = books.portfolios[b], books.slots.shape[1]
    held, pending = 0, 0
    for s in range(slots):
        held += books.slots[b, s].status == OPEN
        pending += books.slots[b, s].status == PENDING
    # The peak is raised at the end of an hour only, so equity may stand above it here.
    drawdown = max(0.0, 100.0 * (1.0 - portfolio.equity / portfolio.peak))
    put_context((held / slots, pending / slots), means, live.offered[at], drawdown, out)


@hourly
def put_slot(
    leaving: bool, money: tuple[float, float, float], hours: float, drift: float, stale: float, out: Float32s
) -> None:
    """Of an open position: P&L, price P&L and funding in bps of a leg, hours held, basis at entry in bps, hours."""
    out[0], out[1] = 1.0, leaving
    out[2], out[3], out[4] = _asinh(money[0], 30.0), _asinh(money[1], 30.0), _asinh(money[2], 30.0)
    out[5] = np.log1p(hours / 24.0) / 2.0
    out[6] = _asinh(drift, 20.0)
    out[7] = stale / 6.0


@seldom
def _put_position(tape: TapeArrays, books: Books, b: int, s: int, t: int, live: Live, out: Float32s) -> None:
    """What a slot has beyond the values of its pair; the position is open."""
    slot = books.slots[b, s]
    bps = 1e4 / slot.notional
    price = unrealised_price_pnl(tape, books, b, s, t) + slot.price_pnl
    entry = (slot.short_entry - slot.long_entry) / slot.long_entry
    money = bps * position_pnl(tape, books, b, s, t), bps * price, bps * slot.funding
    drift = 1e4 * (entry - live.tables.spread_8h[t, slot.pair])
    put_slot(slot.due >= 0, money, t - slot.opened, drift, stale_hours(tape, books, b, s, t), out)
    if live.counts[1] > 0:
        out[8] = leg_distance(tape, books, b, s, t, LONG)
        out[9] = leg_distance(tape, books, b, s, t, SHORT)


@hourly
def put_gain(gain: float, trips: float, out: Float32s) -> None:
    """What a held pair has in the place of the intervals of its legs: without these nobody learns to switch."""
    out[INTERVAL_LONG], out[INTERVAL_SHORT] = _asinh(gain, 30.0), _asinh(gain - trips, 30.0)


@hourly
def encode_transformed(
    tape: TapeArrays, books: Books, b: int, t: int, at: int, pairs: Ints, values: Float32s, live: Live, visible: Ints,
    out: Float32s,
) -> None:  # fmt: skip
    """Observation of portfolio b at row t into ``out``; ``visible`` ``[O]`` gets the pairs shown (-1: none)."""
    slots, opportunities, margins = books.slots.shape[1], visible.shape[0], 2 * live.counts[1]
    known = values.shape[1]
    width, slot_width = known + margins, known + margins + SLOT + margins
    first = CONTEXT + slot_width * slots
    shown, of_week, of_day, averaged, best, best_pair = 0, 0.0, 0.0, 0, np.nan, -1
    out[:] = 0.0
    for k in range(pairs.shape[0]):
        if shown == opportunities or pairs[k] < 0:
            break
        # Held pairs are left out here and not from the ranking, which is the same for every portfolio.
        if is_held(tape, books, b, pairs[k]):
            continue
        visible[shown] = pairs[k]
        place = first + shown * width
        for j in range(known):
            out[place + j] = values[k, j]
        if margins > 0:
            _put_margins(tape, books, b, pairs[k], out[place + known : place + width])
        if averaged < BEST_OF_CONTEXT:
            of_day, of_week = of_day + live.figures[at, k, 0], of_week + live.figures[at, k, 1]
            averaged += 1
        if live.figures[at, k, 2] > best or (best_pair < 0 and not np.isnan(live.figures[at, k, 2])):
            best, best_pair = live.figures[at, k, 2], pairs[k]
        shown += 1
    visible[shown:] = -1
    means = (of_week / averaged, of_day / averaged) if averaged > 0 else (np.nan, np.nan)
    _put_context(books, b, live, at, means, out)
    for s in range(slots):
        if books.slots[b, s].status == OPEN:
            place, pair = CONTEXT + slot_width * s, books.slots[b, s].pair
            promised = pair_values(tape, live, pair, t, out[place : place + known])[2]
            trips = SWITCH_ROUND_TRIPS * round_trip_bps(tape, live.tables, best_pair, t) if best_pair >= 0 else np.nan
            put_gain(best - promised, trips, out[place : place + known])
            if margins > 0:
                _put_margins(tape, books, b, pair, out[place + known : place + width])
            _put_position(tape, books, b, s, t, live, out[place + width : place + slot_width])
    action_mask(books, b, visible, out[first + width * opportunities :])
