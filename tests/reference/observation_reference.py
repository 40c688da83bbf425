"""Observation version 2 a second time: by name, in plain Python, from the raw market and the books.

Nothing of ``engine.observation.transformed`` or the tape is used: pairs come from ``feature_reference``, positions from
the fields of their slots, prices from the market.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import asinh, isnan, log1p, nan
from typing import Any

import numpy as np
from feature_reference import LegSeries, expected_features, expected_on_request
from reference_costs import spread_and_slippage

from engine.accounting.books import Books, Status
from engine.market.data import MarketData, Pairs, directed_pairs
from engine.observation.encoding import ObservationSpec
from engine.settings import EngineSettings

Values = dict[str, float]


def _scaled(value: float, unit: float) -> float:
    return asinh(value / unit)


@dataclass
class ReferencePair:
    """The values of one pair at an hour by name, and the three figures that others need."""

    values: Values
    nf_24h: float
    nf_168h: float
    promised: float
    mean_8h_bps: float

    @property
    def key(self) -> float:
        return max(self.nf_24h, 0.0) + max(self.nf_168h, 0.0)


class ReferenceObserver:
    """Observations of one portfolio on a market."""

    def __init__(self, market: MarketData, settings: EngineSettings, spec: ObservationSpec) -> None:
        self._market, self._settings, self._spec = market, settings, spec
        self._legs = [LegSeries(market, leg, settings) for leg in range(market.legs)]
        self._seen: dict[tuple[int, int], ReferencePair] = {}

    @cached_property
    def pairs(self) -> Pairs:
        return directed_pairs(self._market)

    def pair(self, p: int, t: int) -> ReferencePair:
        if (p, t) not in self._seen:
            self._seen[p, t] = self._pair(p, t)
        return self._seen[p, t]

    def _pair(self, p: int, t: int) -> ReferencePair:
        ends = int(self.pairs.long_leg[p]), int(self.pairs.short_leg[p])
        long, short = (self._legs[leg] for leg in ends)
        f, daily = expected_features(long, short, t), expected_on_request(long, short, t)
        day, three, week = (f[f"net_funding_{hours}h_bps"] for hours in (24, 72, 168))
        now, b8, b24, b72 = (
            1e4 * f[name] for name in ("spread", "spread8hAvg", "priceSpread24hAvg", "priceSpread3dAvg")
        )
        sd, lowest = daily.values()
        cost = self.round_trip_bps(p, t)
        promised = 7 * (0.25 * day + 0.75 * week) - 7 * 0.5 * sd + 0.5 * (b8 - b72)
        fresh = [int(np.isfinite(self._market.price[leg, : t + 1]).sum()) for leg in ends]
        values = {
            "nf_24h": _scaled(day, 5), "nf_72h": _scaled(three, 5), "nf_168h": _scaled(week, 5),
            "nf_last": _scaled(100 * f["fund_apr"] / 365, 5),
            "basis_now_less_8h": _scaled(now - b8, 10), "basis_8h_less_24h": _scaled(b8 - b24, 10),
            "basis_8h_less_72h": _scaled(b8 - b72, 10), "basis_72h": _scaled(b72, 10),
            "basis_sd_30h": _scaled(1e4 * f["spread_volatility_stddev"], 10),
            "round_trip": cost / 25 - 1, "volume_24h": f["log_volume_24h"] - 7,
            "age": log1p(min(fresh) / 168) / 2 - 0.5,
            "nf_daily_sd": _scaled(sd, 5), "nf_daily_lowest": _scaled(lowest, 5),
            "interval_long": f["long_interval_8h"], "interval_short": f["short_interval_8h"],
            "surplus_72h": _scaled(1.5 * (day + week) + (b8 - b72) - 1.5 * cost, 30),
            "week_lower_bound": _scaled(promised - 1.5 * cost, 30),
        }  # fmt: skip
        for side, leg in zip(("long", "short"), ends, strict=True):
            for name in self._spec.exchanges:
                values[f"{side} {name}"] = float(self._market.leg_name(leg)[1] == name)
        return ReferencePair({k: 0.0 if isnan(v) else v for k, v in values.items()}, day, week, promised, b8)

    def round_trip_bps(self, p: int, t: int) -> float:
        legs = [self._legs[leg] for leg in (int(self.pairs.long_leg[p]), int(self.pairs.short_leg[p]))]
        multiple, slippage = self._settings.cost_multiple, self._settings.slippage_bps
        fees = sum(2e4 * leg.fee(t) for leg in legs)
        spreads = [0.0]
        for leg in legs:
            if isnan(leg.bid_ask[t]):
                beyond = float(spread_and_slippage(self._settings, leg._history, t)) - slippage / 1e4
                spreads.append(2e4 * beyond * multiple)
            else:
                spreads.append(1e4 * leg.bid_ask[t])
        return float(fees + 4 * slippage * multiple + 2 * max(spreads))

    def observe(self, books: Books, t: int, offered: Any) -> tuple[list[float], list[int]]:
        """The observation of the only portfolio and the pairs shown, without -1; ``offered`` ``[pairs]`` bool."""
        portfolio, slots = books.portfolios[0], books.slots[0]
        held = {int(s["pair"]) for s in slots if s["status"] != int(Status.FREE)}
        hidden = held | {int(self.pairs.mirror[p]) for p in held}
        able = [p for p in np.flatnonzero(offered).tolist() if self.pair(p, t).key > 0]
        # Rounded, so that what is equal but for the order of additions is a tie here too.
        able.sort(key=lambda p: (-float(f"{self.pair(p, t).key:.10e}"), p))
        shown = [p for p in able[: self._spec.candidates] if p not in hidden][: self._spec.opportunities]
        five = [self.pair(p, t) for p in shown[:5]]
        # Value and cost of the pair that promises most, the first of equals.
        known = [
            (self.pair(p, t).promised, self.round_trip_bps(p, t)) for p in shown if not isnan(self.pair(p, t).promised)
        ]
        best = max(known, key=lambda one: one[0], default=(nan, nan))
        out = [
            np.mean(slots["status"] == int(Status.OPEN)), np.mean(slots["status"] == int(Status.PENDING)),
            _scaled(float(np.mean([one.nf_168h for one in five])), 5) if five else 0.0,
            _scaled(float(np.mean([one.nf_24h for one in five])), 5) if five else 0.0,
            log1p(int(np.count_nonzero(offered))) / 3 - 1,
            max(0.0, 100 * (1 - portfolio["equity"] / portfolio["peak"])) / 3,
        ]  # fmt: skip
        pair_width, slot_width = self._spec.widths.opportunity, self._spec.widths.slot
        for slot in slots:
            out += self._slot(books, slot, t, best) if slot["status"] == int(Status.OPEN) else [0.0] * slot_width
        for p in shown:
            out += [*self.pair(p, t).values.values(), *self._margins(books, p, t)]
        out += [0.0] * (pair_width * (self._spec.opportunities - len(shown)))
        free = bool(np.any(slots["status"] == int(Status.FREE)))
        out += [1.0, *(float(free and k < len(shown)) for k in range(self._spec.opportunities))]
        out += [float(s["status"] == int(Status.OPEN) and s["due"] < 0) for s in slots]
        return [float(value) for value in out], shown

    def _price(self, leg: int, t: int) -> float:
        return float(self._legs[leg].price[t])

    def _mark(self, leg: int, t: int) -> float:
        mark = float(self._market.mark_price[leg, t])
        return self._price(leg, t) if isnan(mark) else mark

    def _stale(self, leg: int, t: int) -> int:
        return int(t - np.flatnonzero(np.isfinite(self._market.price[leg, : t + 1]))[-1])

    def _slot(self, books: Books, slot: Any, t: int, best: tuple[float, float]) -> list[float]:
        p, bps = int(slot["pair"]), 1e4 / slot["notional"]
        long, short = int(self.pairs.long_leg[p]), int(self.pairs.short_leg[p])
        pair = self.pair(p, t)
        gain, open_legs = 0.0, []
        if slot["long_held"] > 0:
            gain += slot["quantity"] * (self._price(long, t) - slot["long_entry"])
            open_legs.append(long)
        if slot["short_held"] > 0:
            gain -= slot["quantity"] * (self._price(short, t) - slot["short_entry"])
            open_legs.append(short)
        price = gain + slot["price_pnl"]
        fees = slot["entry_fees"] + slot["exit_fees"] + slot["liquidation_fees"]
        more = best[0] - pair.promised
        beyond = more - 5 * best[1]
        values = {
            **pair.values,
            "interval_long": 0.0 if isnan(more) else _scaled(more, 30),
            "interval_short": 0.0 if isnan(beyond) else _scaled(beyond, 30),
        }
        at_entry = 1e4 * (slot["short_entry"] / slot["long_entry"] - 1) - pair.mean_8h_bps
        own = [
            1.0, float(slot["due"] >= 0), _scaled(bps * (price + slot["funding"] - fees), 30),
            _scaled(bps * price, 30), _scaled(bps * slot["funding"], 30), log1p((t - slot["opened"]) / 24) / 2,
            0.0 if isnan(at_entry) else _scaled(at_entry, 20), max(self._stale(leg, t) for leg in open_legs) / 6,
        ]  # fmt: skip
        return [*values.values(), *self._margins(books, p, t), *own, *self._distances(books, slot, p, t)]

    def _posted(self, books: Books, exchange: str | None) -> float:
        """N / leverage over the open legs, of one exchange or of all."""
        posted = 0.0
        for slot in books.slots[0][books.slots[0]["status"] == int(Status.OPEN)]:
            for side, held in (("long_leg", slot["long_held"]), ("short_leg", slot["short_held"])):
                at = self._market.leg_name(int(getattr(self.pairs, side)[slot["pair"]]))[1]
                posted += slot["notional"] / self._settings.leverage * (held > 0) * (exchange in (None, at))
        return float(posted)

    def _margins(self, books: Books, p: int, t: int) -> list[float]:  # noqa: ARG002
        if not self._spec.wallets:
            return []
        equity = float(books.portfolios["equity"][0])
        shares = []
        for leg in (int(self.pairs.long_leg[p]), int(self.pairs.short_leg[p])):
            name = self._market.leg_name(leg)[1]
            pooled = self._settings.account == "pooled"
            worth = equity if pooled else float(books.wallets["equity"][0, self._market.exchanges.index(name)])
            shares.append((worth - self._posted(books, None if pooled else name)) / equity if equity > 0 else 0.0)
        return shares

    def _distances(self, books: Books, slot: Any, p: int, t: int) -> list[float]:
        """How far a leg's mark may move until equity is the maintenance margin: balance and other legs as they are."""
        if not self._spec.wallets:
            return []
        rate, found = self._settings.margin.maintenance_margin_rate, []
        ends = (
            (int(self.pairs.long_leg[p]), slot["long_held"], 1),
            (int(self.pairs.short_leg[p]), slot["short_held"], -1),
        )
        for leg, held, sign in ends:
            if self._settings.account == "pooled" or not held > 0:
                found.append(1.0)
                continue
            wallet = books.wallets[0, self._market.exchanges.index(self._market.leg_name(leg)[1])]
            worth = held * self._mark(leg, t)
            # equity - sign x worth = rate (held - sign x worth), solved for x.
            x = (wallet["equity"] - rate * wallet["held"]) / (worth * (1 - sign * rate))
            found.append(float(min(1.0, max(0.0, x))))
        return found
