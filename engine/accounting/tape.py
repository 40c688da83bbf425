"""The market as the kernel reads it: carried prices, ages, fee rates and bookings, one 64-byte record per leg and hour.

A tape is made once per market and settings. Forward filling happens here and only here; nothing looks back from a
later hour.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.accounting.books import NO_WALLETS, Leg
from engine.accounting.spreads import half_spreads
from engine.compiled import compiled
from engine.errors import SettingsError
from engine.market.carried import carry_forward, staleness
from engine.market.data import Floats, Ints, MarketData, Pairs, directed_pairs
from engine.market.earlier_hours import Before, nothing_before
from engine.market.settlements import Settlements
from engine.settings import EngineSettings, fee_rate

# The narrow integers keep a record at 64 bytes, one line of a processor's cache.
QUOTE = np.dtype(
    [
        ("price", "f8"),  # last known price, nan before the first
        ("mark", "f8"),  # mark price, else the last known price
        ("fill", "f8"),  # first trade after t, nan where unknown: the price stands in
        ("half_spread", "f8"),  # fraction of price on top of slippage (``spreads``), 0 where nothing is known
        ("volume", "f8"),  # last known 24 h volume above zero in USD (impact divides by it), nan before the first
        ("fee_rate", "f8"),  # fraction of notional in force at t, cost multiple included
        ("fresh_hours", "i4"),  # hours with an own price up to t
        ("stale", "i4"),  # hours since the last own price, -1 before the first
        ("booking_start", "i4"),
        ("booking_count", "i2"),
        ("flags", "i1"),  # sum of what keeps the leg from being entered: LEAVES_BY_NOTICE, SILENT, FILTERED
    ],
    align=True,
)
LEAVES_BY_NOTICE, SILENT, FILTERED = 1, 2, 4
"""From the hour on at which a known notice makes positions leave; while its settlements do not come (positions leave
too); while a filter excludes it."""
BAR = np.dtype(
    [
        ("high", "f8"),  # of the trades after t until t + 1, USD, nan where unknown
        ("low", "f8"),
        ("maker_fee", "f8"),  # fraction of notional in force at t, cost multiple included
    ],
    align=True,
)
"""What resting orders need to know of the hour after t."""
INSTRUMENT = np.dtype(
    [
        ("since", "i8"),  # row of the tape from which it holds, perhaps before row 0
        ("tick", "f8"),  # USD per coin; nan where unknown, as in the others
        ("lot", "f8"),  # coins
        ("min_notional", "f8"),  # USD
        ("max_leverage", "f8"),
    ],
    align=True,
)
"""What an exchange demands of orders from a date on."""
LEVEL = np.dtype(
    [
        ("key", "i8"),  # twice the row of the tape at which its book was seen, and one more for an ask
        ("distance", "f8"),  # from the mid of its book, fraction
        ("quantity", "f8"),  # coins
    ],
    align=True,
)
"""A level of a recorded order book; those of a leg lie together, by key and from the best outwards."""
LEG = np.dtype(
    [
        ("exchange", "i8"),
        ("key", "u8"),  # what random failures of the leg are drawn from
        ("first_hour", "i8"),  # hour number of row 0
        ("first_instrument", "i8"),  # of its rows among the instruments
        ("instruments", "i8"),  # how many these are
        ("first_level", "i8"),  # of its order books among the levels
        ("levels", "i8"),  # how many these are
    ],
    align=True,
)
PAIR = np.dtype([("long", "i8"), ("short", "i8"), ("mirror", "i8")], align=True)
RULES = np.dtype(
    [
        ("initial_capital", "f8"),
        ("position_fraction", "f8"),
        ("position_size", "f8"),  # nan: by fraction of equity
        ("fit", "i8"),  # 1: an entry shrinks to the free margin
        ("min_notional", "f8"),
        ("leverage", "f8"),
        ("stop_loss_pct", "f8"),  # nan: no stop-loss
        ("slippage", "f8"),  # fraction, cost multiple not included
        ("impact", "f8"),
        ("outage_slippage", "f8"),
        ("max_walk", "f8"),  # fraction, inf: no limit
        ("cost_multiple", "f8"),
        ("max_stale", "i8"),
        ("min_history", "i8"),
        ("latency", "i8"),  # rows from an order to its fill as a taker; one more where orders rest first
        ("resting", "i8"),  # 1: one leg of an order rests first, else the seven below are not looked at
        ("resting_side", "i8"),  # EITHER, or that of the leg which rests: LONG, SHORT
        ("offset", "f8"),  # fraction of price, as the next three
        ("through", "f8"),
        ("adverse", "f8"),  # cost multiple not included
        ("hedge", "f8"),
        ("volume_share", "f8"),  # of the turnover beyond the limit
        ("gives_up", "i8"),  # 1: an entry that rested and was not filled is cancelled
        ("by_exchange", "i8"),  # 1: margin is kept by exchange, else the six below are not looked at
        ("maintenance", "f8"),  # fraction of notional
        ("liquidation_fee", "f8"),  # fraction of notional, cost multiple included
        ("transfer_cost", "f8"),  # USD, cost multiple included
        ("rebalance_below", "f8"),  # fraction of a wallet's target, nan: never
        ("max_exchange_share", "f8"),  # nan: no limit
        ("transfer_hours", "i8"),
        ("leg_failure", "f8"),  # probability
    ],
    align=True,
)


EITHER = -1
_RESTING_SIDE = {"auto": EITHER, "long": int(Leg.LONG), "short": int(Leg.SHORT)}


class TapeArrays(NamedTuple):
    """What the compiled kernel gets. ``quotes`` is ``[legs, hours]``, ``rules`` has one element.

    ``bars`` is ``[legs, hours]`` where orders rest, else ``[legs, 0]``. ``instruments`` has the dated rows of all legs,
    none where they are unknown or ignored; ``levels`` are those of all order books, likewise.

    Every array costs time at each call from Python: better a field than an array.
    """

    quotes: NDArray[np.void]
    bookings: NDArray[np.void]
    pairs: NDArray[np.void]
    rules: NDArray[np.void]
    legs: NDArray[np.void]
    bars: NDArray[np.void]
    instruments: NDArray[np.void]
    levels: NDArray[np.void]


@dataclass(frozen=True, eq=False)
class Tape:
    """A prepared market: the arrays of the kernel with the market, pairs and settings they came from."""

    market: MarketData
    settings: EngineSettings
    pairs: Pairs
    settlements: Settlements
    arrays: TapeArrays
    before: Before

    @property
    def hours(self) -> int:
        return len(self.market.hours)

    @property
    def wallet_shares(self) -> Floats:
        """Share of capital in the wallet at each exchange ``[exchanges]``; none when the account is pooled."""
        return wallet_shares(self.market.exchanges, self.settings)

    def pair_name(self, pair: int) -> tuple[str, str, str]:
        """(symbol, long exchange, short exchange) of a pair."""
        symbol, long_exchange = self.market.leg_name(int(self.pairs.long_leg[pair]))
        return symbol, long_exchange, self.market.leg_name(int(self.pairs.short_leg[pair]))[1]


def prepare(
    market: MarketData, settings: EngineSettings, *, before: Before | None = None, pairs: Pairs | None = None
) -> Tape:
    """Build the tape of a market under the given settings.

    ``before`` is what came before a market that is the end of a longer one; ``pairs``, when the caller has them.
    Raises ``SettingsError`` when an exchange of the market has no row in a table of costs, wallets do not fit it, or
    orders are to rest in bars of which high and low are not known.
    """
    before = nothing_before(market.legs, walked=0) if before is None else before
    pairs = directed_pairs(market) if pairs is None else pairs
    price = carry_forward(np.ascontiguousarray(market.price), before.legs["price"])
    ages = before.legs["stale"], before.legs["fresh_hours"]
    stale, fresh_hours = staleness(np.ascontiguousarray(market.price), ages)
    mark = np.where(np.isnan(market.mark_price), price, market.mark_price)
    settlements = Settlements(market, mark, stale, settings.max_stale_hours, before.schedules)
    quotes = np.zeros(market.price.shape, QUOTE)
    quotes["price"], quotes["mark"] = price, mark
    quotes["fill"] = np.nan if settings.fill_at == "last_trade" else market.fill_price
    quotes["half_spread"] = half_spreads(market, settings, before.legs["volume"])
    traded = np.where(market.volume_24h_usd > 0, market.volume_24h_usd, np.nan)
    quotes["volume"] = carry_forward(traded, before.legs["traded_volume"])
    quotes["fee_rate"] = fee_rates(market, settings, "taker")[market.leg_exchange] * settings.cost_multiple
    quotes["fresh_hours"], quotes["stale"] = fresh_hours, stale
    quotes["booking_start"], quotes["booking_count"] = settlements.starts, settlements.counts
    quotes["flags"] = (
        LEAVES_BY_NOTICE * _leaves_by_notice(market)
        + SILENT * settlements.silent
        + FILTERED * _filtered(market, settings, before.legs["volume"])
    )
    wallet_shares(market.exchanges, settings)  # raises what is wrong with them now
    levels, level_leg = _level_records(market, settings)
    arrays = TapeArrays(
        quotes,
        settlements.bookings,
        _pair_records(pairs),
        rules_record(settings),
        _leg_records(market, settings, level_leg),
        _bar_records(market, settings),
        _instrument_records(market, settings),
        levels,
    )
    return Tape(market, settings, pairs, settlements, arrays, before)


def fee_rates(market: MarketData, settings: EngineSettings, kind: Literal["maker", "taker"]) -> Floats:
    """Fee rate ``[exchanges, hours]`` of makers or takers from the dated table."""
    rates = np.empty((len(market.exchanges), len(market.hours)))
    # The table changes by day: one look-up a day, not one an hour.
    days, day_of_hour = np.unique(market.hours // 24, return_inverse=True)
    for i, exchange in enumerate(market.exchanges):
        rows = settings.fee_rows(exchange)
        if not rows:
            known = ", ".join(sorted(settings.fees)) or "none"
            near = difflib.get_close_matches(exchange, settings.fees, n=1, cutoff=0.6)
            hint = f"is it {near[0]}? else " if near else ""
            raise SettingsError(
                f"no fee rates for exchange {exchange}; {hint}add it to configs/fees.yaml (known: {known})"
            )
        by_day = [fee_rate(rows, kind, datetime.fromtimestamp(int(d) * 86400, UTC)) for d in days]
        rates[i] = np.array(by_day)[day_of_hour]
    return rates


def rules_record(settings: EngineSettings) -> NDArray[np.void]:
    """The scalar rules as the kernel's one-element record array."""
    rules: NDArray[Any] = np.zeros(1, RULES)
    rules["initial_capital"] = settings.initial_capital_usd
    rules["position_fraction"] = settings.position_fraction or 1.0 / settings.max_positions
    rules["position_size"] = np.nan if settings.position_size_usd is None else settings.position_size_usd
    rules["fit"] = settings.fit_to_free_margin
    rules["min_notional"] = settings.min_notional_usd
    rules["leverage"] = settings.leverage
    stop = settings.max_position_loss_pct
    rules["stop_loss_pct"] = np.nan if stop is None else stop
    rules["slippage"] = settings.slippage_bps / 1e4
    rules["impact"] = settings.impact_coefficient
    rules["outage_slippage"] = settings.outage_slippage_bps / 1e4
    rules["max_walk"] = np.inf if settings.max_walk_bps is None else settings.max_walk_bps / 1e4
    rules["cost_multiple"] = settings.cost_multiple
    rules["max_stale"], rules["min_history"] = settings.max_stale_hours, settings.min_history_hours
    rules["latency"] = settings.hours_to_fill
    maker, rests = settings.maker, settings.orders_rest
    rules["resting"], rules["resting_side"] = rests, _RESTING_SIDE[maker.leg]
    rules["offset"], rules["through"] = maker.offset_bps / 1e4, maker.through_bps / 1e4
    rules["adverse"], rules["hedge"] = maker.adverse_bps / 1e4, maker.hedge_bps / 1e4
    rules["volume_share"], rules["gives_up"] = maker.volume_share, rests and maker.fallback == "cancel"
    rules["leg_failure"] = settings.leg_failure_probability
    margin = settings.margin
    rules["by_exchange"] = settings.account == "by_exchange"
    rules["maintenance"] = margin.maintenance_margin_rate
    rules["liquidation_fee"] = margin.liquidation_fee_rate * settings.cost_multiple
    rules["transfer_cost"] = margin.transfer_cost_usd * settings.cost_multiple
    rules["transfer_hours"] = margin.transfer_hours
    rules["rebalance_below"] = np.nan if margin.rebalance_below is None else margin.rebalance_below
    rules["max_exchange_share"] = np.nan if margin.max_exchange_share is None else margin.max_exchange_share
    return rules


def wallet_shares(exchanges: Sequence[str], settings: EngineSettings) -> Floats:
    """Share of capital in the wallet at each exchange ``[exchanges]``; none when the account is pooled.

    Raises ``SettingsError`` for a share at an exchange that the market does not have, and for a target above the limit.
    """
    if settings.account == "pooled":
        return NO_WALLETS
    named = settings.margin.wallet_shares
    unknown = sorted(set(named or ()) - set(exchanges))
    if unknown:
        raise SettingsError(
            f"margin.wallet_shares: the market has no exchange {unknown[0]!r} (it has {', '.join(exchanges)})"
        )
    equal = 1.0 / len(exchanges)
    shares = np.array([equal if named is None else named.get(exchange, 0.0) for exchange in exchanges])
    limit = settings.margin.max_exchange_share
    if limit is not None and shares.max() > limit * (1 + 1e-9):
        largest = exchanges[int(shares.argmax())]
        raise SettingsError(
            f"margin.max_exchange_share = {limit:g} is below the share of capital at {largest} ({shares.max():.3g})"
        )
    return shares


def _leg_records(market: MarketData, settings: EngineSettings, level_leg: Ints) -> NDArray[np.void]:
    records: NDArray[Any] = np.zeros(market.legs, LEG)
    records["exchange"], records["first_hour"] = market.leg_exchange, market.hours[0] if len(market.hours) else 0
    if settings.leg_failure_probability > 0:
        names = [market.leg_name(leg) for leg in range(market.legs)]
        records["key"] = [failure_key(settings.leg_failure_seed, *name) for name in names]
    if market.instruments is not None:
        legs = np.arange(market.legs)
        records["first_instrument"] = np.searchsorted(market.instruments.leg, legs)
        records["instruments"] = np.bincount(market.instruments.leg, minlength=market.legs)
    records["first_level"] = np.searchsorted(level_leg, np.arange(market.legs))
    records["levels"] = np.bincount(level_leg, minlength=market.legs)
    return records


def _instrument_records(market: MarketData, settings: EngineSettings) -> NDArray[np.void]:
    known = market.instruments
    if known is None or settings.instruments == "ignore":
        return np.zeros(0, INSTRUMENT)
    records: NDArray[Any] = np.zeros(len(known), INSTRUMENT)
    records["since"] = known.since - (market.hours[0] if len(market.hours) else 0)
    records["tick"], records["lot"] = known.tick, known.lot
    records["min_notional"], records["max_leverage"] = known.min_notional_usd, known.max_leverage
    return records


def _level_records(market: MarketData, settings: EngineSettings) -> tuple[NDArray[np.void], Ints]:
    """The levels of the books seen in the hours of the market, and the leg of each."""
    hours, known = market.hours, market.order_books
    here = None
    if known is not None and settings.order_books == "walk" and len(hours):
        here = known.between(int(hours[0]), int(hours[-1]))
    if here is None:
        return np.zeros(0, LEVEL), np.empty(0, np.int64)
    book, side = np.divmod(here.sides, 2)
    records: NDArray[Any] = np.zeros(len(book), LEVEL)
    records["key"] = 2 * (here.hour[book] - hours[0]) + side
    records["distance"], records["quantity"] = here.distance, here.quantity
    return records, here.leg[book]


def _bar_records(market: MarketData, settings: EngineSettings) -> NDArray[np.void]:
    if not settings.orders_rest:
        return np.zeros((market.legs, 0), BAR)
    if market.high is None or market.low is None:
        raise SettingsError(
            "execution = 'maker_then_hedge': high and low of the bars are not known here, and without them nobody can "
            "say which resting orders were filled; build the data set again from raw bars (arb data build)"
        )
    bars = np.zeros(market.price.shape, BAR)
    bars["high"], bars["low"] = market.high, market.low
    bars["maker_fee"] = fee_rates(market, settings, "maker")[market.leg_exchange] * settings.cost_multiple
    return bars


def failure_key(seed: int, symbol: str, exchange: str) -> int:
    """64 bits that name a leg under a seed, whatever other legs the market has."""
    # Not ``hash``: Python salts it, and every process would draw other failures.
    return int.from_bytes(hashlib.sha256(f"{seed} {symbol} {exchange}".encode()).digest()[:8], "little")


def _pair_records(pairs: Pairs) -> NDArray[np.void]:
    records: NDArray[Any] = np.zeros(len(pairs), PAIR)
    records["long"], records["short"], records["mirror"] = pairs.long_leg, pairs.short_leg, pairs.mirror
    return records


def _leaves_by_notice(market: MarketData) -> NDArray[np.bool_]:
    last_hour_before = np.where(market.delisting_hour > 0, market.delisting_hour - 1, 0)[:, None]
    known: Ints = market.delisting_known_hour[:, None]
    # Not before the notice is known, even where the end is near: that would be foresight.
    leaves: NDArray[np.bool_] = (market.hours >= last_hour_before) & (market.hours >= known)
    return leaves


def _filtered(market: MarketData, settings: EngineSettings, volume_before: Floats) -> NDArray[np.bool_]:
    """Legs that a volume, spread or depth filter excludes; a value that is not known cannot pass a filter on it."""
    filters = settings.filters
    out = np.zeros(market.price.shape, bool)
    # ``not >=`` instead of ``<``: nan fails every comparison, and the unknown must not pass.
    if filters.min_volume_24h_usd is not None:
        out |= ~(carry_forward(market.volume_24h_usd, volume_before) >= filters.min_volume_24h_usd)
    if filters.max_bid_ask_spread is not None:
        out |= ~(market.bid_ask_spread <= filters.max_bid_ask_spread)
    if filters.min_depth_usd is not None:
        out |= ~(market.depth_usd >= filters.min_depth_usd)
    return out


@compiled
def is_offered(tape: TapeArrays, pair: int, t: int) -> bool:
    """Whether a pair may be entered at row t: fresh, old enough, not silent, not leaving by notice, not filtered."""
    long_quote = tape.quotes[tape.pairs[pair].long, t]
    short_quote = tape.quotes[tape.pairs[pair].short, t]
    is_fresh = long_quote.stale == 0 and short_quote.stale == 0
    is_old_enough = min(long_quote.fresh_hours, short_quote.fresh_hours) >= tape.rules[0].min_history
    return bool(is_fresh and is_old_enough and long_quote.flags | short_quote.flags == 0)
