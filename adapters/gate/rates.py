"""Which settled rates are believed: by the leg's own rates, the coin's rates elsewhere, and how its price moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adapters.gate.limits import GateSettings
from adapters.gate.past import distances, largest_move
from adapters.gate.prices import MOST_OF_AN_EXCHANGE
from adapters.gate.values import Flags
from engine.market.data import Floats, Ints

DAY = 24
SETTLEMENTS_OF_A_PAST = 3
"""A leg with fewer in its memory has no past: new contracts begin with extremes, and are not offered for days."""
RATES_OF_AN_EXCHANGE = 3
PER_HOURS = 8


@dataclass(frozen=True, eq=False)
class Evidence:
    """Settled rates and believed prices ``[legs, hours]`` with the coin and the exchange of each leg ``[legs]``.

    ``rates`` loses what is refused while the hours are judged one after the other.
    """

    rates: Floats
    prices: Floats
    coin: Ints
    exchange: Ints
    limits: GateSettings

    def judge(self, new: Flags) -> list[tuple[int, int, str]]:
        """Refuse what is not believed of the ``new`` rates, hour by hour: (leg, column, limit in words)."""
        refused = []
        for column in self._suspect_columns(new):
            legs = np.flatnonzero(new[:, column] & ~np.isnan(self.rates[:, column]))
            # Whole exchanges first, and forgotten at once: a wrong rate must not raise what the coin may pay elsewhere.
            found = self._shifted(legs, column)
            self.rates[[leg for leg, _ in found], column] = np.nan
            # No interval is shorter than an hour, so up to here a rate is usual whatever its interval is.
            high = legs[np.abs(self.rates[legs, column]) > self.limits.usual_rate_per_hour]
            single = [(leg, text) for leg in high.tolist() if (text := self._too_high(leg, column))]
            # Only after all were judged: the same rate on several exchanges in one hour is how a real extreme looks.
            self.rates[[leg for leg, _ in single], column] = np.nan
            refused += [(leg, column, text) for leg, text in (*found, *single)]
        return refused

    def _suspect_columns(self, new: Flags) -> list[int]:
        """Hours in which anything can be refused at all; in all others every rate is usual."""
        size = np.where(new, np.abs(self.rates), 0.0)
        suspect = (size > self.limits.usual_rate_per_hour).any(axis=0)
        # An hourly rate is the smallest that can be so far off when it is brought to 8 h.
        high = size > self.limits.max_exchange_rate_shift / PER_HOURS
        for each in np.unique(self.exchange):
            rows = self.exchange == each
            suspect |= high[rows].sum(axis=0) >= RATES_OF_AN_EXCHANGE
        return [int(column) for column in np.flatnonzero(suspect)]

    def _too_high(self, leg: int, column: int) -> str | None:
        """Why the rate of a leg is not believed, None when it is."""
        limits, rate = self.limits, abs(float(self.rates[leg, column]))
        own = self._own(leg, column)
        if len(own) < SETTLEMENTS_OF_A_PAST:
            return None
        others = self._others(leg, column)
        move = largest_move(self.prices[self.coin == self.coin[leg]], column, DAY)
        if not len(others) and np.isnan(move):
            return None  # nothing but its own past to compare with
        usual = min(limits.usual_rate_per_hour * self._interval(leg, column), limits.usual_rate)
        known = max(np.abs(self.rates[leg, own]).max(), np.abs(others).max(initial=0.0))
        allowed = max(usual, limits.max_rate_growth * known, limits.rate_by_move * np.nan_to_num(move))
        if rate <= allowed:
            return None
        return f"at most {allowed:.3g}, with {known:.3g} the highest rate of late and no price move to explain more"

    def _shifted(self, legs: Ints, column: int) -> list[tuple[int, str]]:
        """All of these legs that belong to an exchange whose rates left both the others and their own past at once."""
        found = []
        # By whatever interval: the others cannot be away.
        high = legs[np.abs(self.rates[legs, column]) * PER_HOURS > self.limits.max_exchange_rate_shift]
        for each in np.unique(self.exchange[high]):
            here = legs[self.exchange[legs] == each].tolist()
            away = sum(self._is_away(leg, column) for leg in high[self.exchange[high] == each].tolist())
            if away < RATES_OF_AN_EXCHANGE:
                continue
            # Legs without a past, or on no other exchange, speak neither for their exchange nor against it.
            compared = sum(bool(len(self._own(leg, column))) and bool(self._elsewhere(leg, column)) for leg in here)
            if away >= MOST_OF_AN_EXCHANGE * compared:
                limit = f"{self.limits.max_exchange_rate_shift:g} in {PER_HOURS} h"
                text = f"nearly all rates of the exchange are more than {limit} off the others and their own past"
                # The inconspicuous ones too: what is wrong as a whole is not believed in part.
                found += [(leg, text) for leg in here]
        return found

    def _is_away(self, leg: int, column: int) -> bool:
        """Whether a rate is known to be away from the others and from its own past, and not by falling to nothing."""
        limit, rate = self.limits.max_exchange_rate_shift, float(self.rates[leg, column])
        own = self._own(leg, column)
        scale = PER_HOURS / self._interval(leg, column)
        # The smaller of rate and change counts: a rate that falls to nothing is far from its past, and harmless.
        if not len(own) or min(abs(rate), abs(rate - self.rates[leg, own[-1]])) * scale <= limit:
            return False
        others = self._elsewhere(leg, column)
        return bool(others) and abs(rate * scale - float(np.mean(others))) > limit

    def _elsewhere(self, leg: int, column: int) -> list[float]:
        """The last rate of a day of the coin on each other exchange, per 8 h."""
        return [
            float(self.rates[other, last]) * PER_HOURS / self._interval(other, column)
            for other in np.flatnonzero(self.coin == self.coin[leg]).tolist()
            if other != leg and (last := self._last(other, column)) is not None
        ]

    def _own(self, leg: int, column: int) -> Ints:
        """Columns of the leg's believed settlements before a column."""
        first = max(0, column - self.limits.memory_hours)
        return np.asarray(first + np.flatnonzero(~np.isnan(self.rates[leg, first:column])), np.int64)

    def _others(self, leg: int, column: int) -> Floats:
        """Rates of the coin on other exchanges within a day, those of the same hour as they were given."""
        rows = self.coin == self.coin[leg]
        rows[leg] = False
        rates = self.rates[rows, max(0, column - DAY + 1) : column + 1]
        return np.asarray(rates[~np.isnan(rates)])

    def _last(self, leg: int, column: int) -> int | None:
        """Column of the leg's last rate within a day up to a column."""
        first = max(0, column - DAY + 1)
        known = np.flatnonzero(~np.isnan(self.rates[leg, first : column + 1]))
        return int(first + known[-1]) if len(known) else None

    def _interval(self, leg: int, column: int) -> float:
        """Hours between the leg's settlements, as far as its past shows; the usual 8 where it shows nothing."""
        gaps = distances(self._own(leg, column), column)
        return float(gaps.min()) if len(gaps) else float(PER_HOURS)
