"""Strategies that look ahead, as a user could write them by reaching behind the view: ``arb audit`` must see each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from engine.observation.encoding import ObservationSpec, fit_scaler
from engine.observation.features import COLUMN
from engine.observation.view import Enter, Exit, Order, View
from engine.settings import Settings
from strategies.plugin import Context, NoParameters


class Honest:
    """Leaves after an hour and enters the pairs with the highest score."""

    Parameters: ClassVar[type[Settings]] = NoParameters
    policies: ClassVar[int] = 0

    def __init__(self, parameters: Settings, context: Context) -> None:
        """Draws nothing and needs nothing."""

    def score(self, view: View, builder: Any, row: int) -> Any:  # noqa: ARG002  # what the cheats need
        """Per pair; higher is better. The honest one."""
        return view.feature("fund_apr")

    def decide(self, view: View) -> Sequence[Order]:
        builder: Any = view._builder
        row = builder.tape.market.index_of(view.time)
        score = np.where(view.offered, np.nan_to_num(self.score(view, builder, row)), -np.inf)
        best = [int(pair) for pair in np.argsort(-score, kind="stable")[: view.free_slots] if np.isfinite(score[pair])]
        leaving = [Exit(position.slot) for position in view.positions if position.hours_held >= 1]
        return [*leaving, *(Enter(pair) for pair in best)]


def spread(pairs: Any, values: Any) -> Any:
    """Short less long, per pair, of values per leg."""
    return values[pairs.short_leg] - values[pairs.long_leg]


class NextPrice(Honest):
    def score(self, _: View, builder: Any, row: int) -> Any:
        price = builder.tape.arrays.quotes["price"]
        return -spread(builder.tape.pairs, price[:, row + 1] / price[:, row])


class FillPrice(Honest):
    """Knows at which price it will be filled."""

    def score(self, _: View, builder: Any, row: int) -> Any:
        quotes = builder.tape.arrays.quotes[:, row]
        return spread(builder.tape.pairs, quotes["fill"] / quotes["price"])


class EarlyRate(Honest):
    """Knows the rate that settles in the coming hours."""

    def score(self, _: View, builder: Any, row: int) -> Any:
        coming = builder.tape.market.funding_rate[:, row + 1 : row + 9]
        return spread(builder.tape.pairs, np.nan_to_num(coming).sum(axis=1))


class ScaledByEverything(Honest):
    """Standardises with a scaler that was fitted on all hours, and trades what is above its mean."""

    _scaler: Any = None

    def score(self, _: View, builder: Any, row: int) -> Any:
        if self._scaler is None:
            spec = ObservationSpec(features=("fund_apr",))
            self._scaler = fit_scaler(builder, spec, 0, builder.tape.hours - 1)
        apr = builder.at(row)[0][:, COLUMN["fund_apr"]]
        return np.where(apr > self._scaler.mean[0], apr, -np.inf)


class WholeDay(Honest):
    """Ranks by the volume of the whole day, which is not over."""

    def score(self, view: View, builder: Any, row: int) -> Any:
        begin = row - view.time.hour
        volume = np.nan_to_num(builder.tape.market.volume_24h_usd[:, begin : begin + 24]).mean(axis=1)
        return np.minimum(volume[builder.tape.pairs.long_leg], volume[builder.tape.pairs.short_leg])


class Foreboding(Honest):
    """Stays away from what will be delisted."""

    def score(self, _: View, builder: Any, row: int) -> Any:
        market = builder.tape.market
        doomed = (market.delisting_hour < market.hours[row] + 500).astype(float)
        return 1 - doomed[builder.tape.pairs.long_leg] - doomed[builder.tape.pairs.short_leg]


class LaterRules(Honest):
    """Takes what exchanges will ask less of later."""

    def score(self, _: View, builder: Any, row: int) -> Any:  # noqa: ARG002  # the rules are dated, not by row
        market = builder.tape.market
        last = np.zeros(market.legs)
        last[market.instruments.leg] = np.nan_to_num(market.instruments.lot * market.price[market.instruments.leg, 0])
        return -last[builder.tape.pairs.long_leg] - last[builder.tape.pairs.short_leg]
