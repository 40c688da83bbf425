"""An observation back in words and units: what a policy saw, as people read it.

Values of pairs are those from before they were scaled, so that what is unknown is told apart from 0; those of portfolio
and slots are turned back from what was shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from engine.market.data import Ints
from engine.observation import values as names
from engine.observation.encoding import Encoding, Float32s, ObservationSpec
from engine.observation.opportunities import OpportunityBuilder

BIT = "0 or 1"
"""Unit of what is only true or not."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One value of an observation: in its unit (nan: unknown), and ``observed`` as the policy's network got it."""

    name: str
    unit: str
    value: float
    observed: float


class Observed(NamedTuple):
    """An observation by its parts; slots that are not open and places without a pair have no values."""

    portfolio: tuple[Shown, ...]
    slots: tuple[tuple[Shown, ...], ...]
    places: tuple[tuple[Shown, ...], ...]


class _Scale(NamedTuple):
    """Unit of a value, and how what is observed is turned back into it."""

    unit: str
    back: Callable[[float], float] = lambda observed: observed


def _times(factor: float, unit: str) -> _Scale:
    return _Scale(unit, lambda observed: factor * observed)


def _sinh(scale: float, unit: str) -> _Scale:
    return _Scale(unit, lambda observed: scale * float(np.sinh(observed)))


PORTFOLIO_1: Mapping[str, _Scale] = {
    "equity": _Scale("x capital"),
    "committed": _Scale("x equity"),
    "open_slots": _Scale("share"),
    "pnl": _Scale("%"),
    "drawdown": _Scale("%"),
}
SLOT_1: Mapping[str, _Scale] = {
    "pnl": _Scale("% of 2N"),
    "hours_held": _times(72.0, "h"),
    "funding": _Scale("% of 2N"),
    "liquidation_distance": _Scale("fraction"),
}
"""Of version 1; ``liquidation_distance`` where it is asked for."""
PORTFOLIO_2: Mapping[str, _Scale] = {
    "open_slots": _Scale("share"),
    "pending_slots": _Scale("share"),
    "mean_nf_168h": _sinh(5.0, "bps/day"),
    "mean_nf_24h": _sinh(5.0, "bps/day"),
    "offered_pairs": _Scale("pairs", lambda observed: float(np.round(np.expm1(3.0 * (observed + 1.0))))),
    "drawdown": _times(3.0, "%"),
}
SLOT_2: Mapping[str, _Scale] = {
    "is_open": _Scale(BIT),
    "exit_pending": _Scale(BIT),
    "pnl": _sinh(30.0, "bps"),
    "price_pnl": _sinh(30.0, "bps"),
    "funding": _sinh(30.0, "bps"),
    "hours_held": _Scale("h", lambda observed: 24.0 * float(np.expm1(2.0 * observed))),
    "basis_at_entry": _sinh(20.0, "bps"),
    "stale_hours": _times(6.0, "h"),
}
PAIR_2: Mapping[str, str] = {
    **dict.fromkeys(("nf_24h", "nf_72h", "nf_168h", "nf_last", "nf_daily_sd", "nf_daily_lowest"), "bps/day"),
    **{name: "bps" for name in names.PAIR if name.startswith("basis_")},
    **dict.fromkeys(("round_trip", "surplus_72h", "week_lower_bound"), "bps"),
    **dict.fromkeys(("age", "interval_long", "interval_short"), "h"),
    "volume_24h": "USD",
}
"""Units of the values of a pair in version 2."""
BEST_ELSEWHERE: Mapping[str, str] = {
    "interval_long": "best_candidate_less_own",
    "interval_short": "switch_beyond_five_round_trips",
}
"""Names of what a held pair has in the place of the intervals of its legs."""
FEATURE_UNITS: Mapping[str, str] = {
    **dict.fromkeys(("long_funding_rate", "short_funding_rate"), "%"),
    **dict.fromkeys(("long_interval_8h", "short_interval_8h"), "8 h"),
    **dict.fromkeys(("fund_profit_8h", "fundProfit8h24hProj", "fundProfit8h3dProj"), "% / 8 h"),
    **dict.fromkeys(("fund_apr", "fundApr24hProj", "fundApr3dProj", "estimatedProfitPercentage"), "% / year"),
    **dict.fromkeys(("apr_minus_apr24h", "apr24h_minus_apr3d"), "% / year"),
    **dict.fromkeys(("spread30SampleAvg", "priceSpread24hAvg", "priceSpread3dAvg", "spread8hAvg"), "bps"),
    **dict.fromkeys(("spread", "spread_volatility_stddev", "spread30_minus_24h"), "bps"),
    **dict.fromkeys(("log_volume_24h", "log_orderbookDepthUsd"), "log10 USD"),
    **dict.fromkeys(("volume_24h", "orderbookDepthUsd"), "USD"),
    **dict.fromkeys(("bidAskSpreadPercent", "positionCostPercent"), "%"),
    **dict.fromkeys(("net_funding_24h_bps", "net_funding_72h_bps", "net_funding_168h_bps"), "bps/day"),
}
"""Units of the features as they are read here: those that are fractions of a price in bps."""


Place = tuple[OpportunityBuilder, int]
"""A market and the row at which an observation was made."""


def read_observation(
    encoding: Encoding, observation: Float32s, visible: Ints, held: Mapping[int, int], at: Place
) -> Observed:
    """An observation ``[spec.size]`` by its parts.

    ``visible`` ``[O]`` are the pairs that it shows, ``held`` the pairs of open positions by slot.
    """
    spec, widths = encoding.spec, encoding.spec.widths
    slots = observation[widths.portfolio : spec.first_opportunity].reshape(spec.positions, widths.slot)
    end = spec.first_opportunity + widths.opportunity * spec.opportunities
    places = observation[spec.first_opportunity : end].reshape(spec.opportunities, widths.opportunity)
    return Observed(
        _turned_back(PORTFOLIO_1 if spec.version == 1 else PORTFOLIO_2, observation),
        tuple(_slot(encoding, slots[s], held[s], at) if s in held else () for s in range(spec.positions)),
        tuple(_pair(encoding, places[k], int(pair), at) if pair >= 0 else () for k, pair in enumerate(visible)),
    )


def _turned_back(scales: Mapping[str, _Scale], observed: Float32s) -> tuple[Shown, ...]:
    """The first values of something; where there are fewer of them than names the last names are left out."""
    return tuple(
        Shown(name, scale.unit, scale.back(float(value)), float(value))
        for (name, scale), value in zip(scales.items(), observed, strict=False)
    )


def _pair(encoding: Encoding, observed: Float32s, pair: int, at: Place) -> tuple[Shown, ...]:
    spec, unscaled = encoding.spec, encoding.unscaled(*at, pair)
    units = FEATURE_UNITS if spec.version == 1 else PAIR_2
    # Behind the values of a pair there may be bits and margins, which are shown as they are.
    found = [
        Shown(name, units[name], _in_unit(spec.version, name, units[name], value), float(seen))
        for name, value, seen in zip(
            spec.features or names.PAIR, map(float, unscaled), observed[: len(unscaled)], strict=True
        )
    ]
    return (*found, *_turned_back(_bits_and_margins(spec), observed[len(found) :]))


def _in_unit(version: int, name: str, unit: str, value: float) -> float:
    if version == 1:
        return 1e4 * value if unit == "bps" else value
    return float(10.0**value) if name == "volume_24h" else value


def _bits_and_margins(spec: ObservationSpec) -> Mapping[str, _Scale]:
    bits = {f"{side}_is_{name}": _Scale(BIT) for side in ("long", "short") for name in spec.exchanges}
    return bits | (dict.fromkeys(names.PAIR_WALLETS, _Scale("x equity")) if spec.wallets else {})


def _slot(encoding: Encoding, observed: Float32s, pair: int, at: Place) -> tuple[Shown, ...]:
    spec = encoding.spec
    if spec.version == 1:
        return _turned_back(SLOT_1, observed)
    width = spec.widths.opportunity
    of_pair = _pair(encoding, observed[:width], pair, at)
    own = _turned_back({**SLOT_2, **dict.fromkeys(names.SLOT_WALLETS, _Scale("fraction"))}, observed[width:])
    return (*map(_elsewhere, of_pair), *own)


def _elsewhere(shown: Shown) -> Shown:
    """A value of a pair as a held one has it."""
    if shown.name not in BEST_ELSEWHERE:
        return shown
    return _turned_back({BEST_ELSEWHERE[shown.name]: _sinh(30.0, "bps")}, np.array([shown.observed], np.float32))[0]
