"""What an observation is made of, as settings: two versions of the layout, with the identity that bundles keep."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from engine.errors import SettingsError
from engine.observation import values
from engine.observation.actions import action_count, action_names
from engine.observation.clock import DecisionClock
from engine.observation.features import COLUMN, FEATURES
from engine.settings import Settings, hash_of

Float32s = NDArray[np.float32]
V1_FEATURES = tuple(FEATURES)[:22]
PORTFOLIO_VALUES = 5
SLOT_VALUES = 3
MOST_OBSERVED = 1e6
"""A value beyond this is no market: a wrong unit, a price that never was, a scaler of other data. tanh saturates long
before, so that a policy would answer it without hesitation."""
ONLY_IN = {
    1: ("ranking", "features", "liquidation_distance"),
    2: ("exchanges", "wallets", "decide_every_hours", "phase"),
}
"""Settings that one version alone has."""


class Widths(NamedTuple):
    """How many values an observation has of the portfolio, of each slot, of each opportunity, and of the mask."""

    portfolio: int
    slot: int
    opportunity: int
    mask: int


def _by_version(first: Any, second: Any) -> Any:
    """A default that depends on the version, which is validated before."""
    return Field(default_factory=lambda known: first if known.get("version", 1) == 1 else second)


class ObservationSpec(Settings):
    """Layout of the observation: a change of any value changes the hash, and bundles refuse another hash.

    Version 1, in order: equity / initial capital, sum(2N) / equity, open positions / P, total P&L in % of initial
    capital, drawdown in %; per slot P&L in % of 2N (price, funding and fees so far), hours held / 72, net funding in
    % of 2N, and with ``liquidation_distance`` the smallest fraction by which a price may move against a leg until it
    is liquidated (0 to 1; 1 when the account is pooled); then per ranked opportunity the standardised features. Empty
    slots and unknown features are zero.

    Version 2: the values of ``engine.observation.values`` for portfolio, slots and opportunities, then the mask of
    the actions. ``exchanges`` have a bit each, in order; another exchange has none. ``wallets`` adds margin and
    distance to liquidation. It is decided every ``decide_every_hours``, at hours with (hour number - phase) a
    multiple of it.
    """

    version: int = Field(default=1, ge=1, le=2)
    positions: int = Field(default=3, ge=1, le=64)
    opportunities: Annotated[int, Field(ge=1, le=64)] = _by_version(5, 8)
    ranking: str = _by_version("fund_apr", "")
    features: tuple[str, ...] = _by_version(V1_FEATURES, ())
    liquidation_distance: bool = False
    exchanges: tuple[str, ...] = Field(default=(), max_length=64)
    wallets: bool = False
    decide_every_hours: Annotated[int, Field(ge=1, le=168)] = _by_version(1, 8)
    phase: int = Field(default=0, ge=0)

    def hash(self) -> str:
        """Without ``liquidation_distance`` the hash of version 1 is that of specs from before there was such a choice.

        That of version 2 covers names, units and transforms of the values, the actions and the clock.
        """
        if self.version == 1:
            unused = set() if self.liquidation_distance else {"liquidation_distance"}
            return hash_of(self.model_dump(mode="json", exclude=unused))
        meaning = {
            "transforms": values.TRANSFORMS,
            "context": values.CONTEXT,
            "pair": values.PAIR | values.PAIR_WALLETS,
            "slot": values.SLOT | values.SLOT_WALLETS,
            "actions": action_names(self.opportunities, self.positions),
        }
        # As lists: the order is part of the layout, and keys are sorted before they are hashed.
        lists = {name: [*map(list, of.items())] if isinstance(of, dict) else of for name, of in meaning.items()}
        return hash_of({**self.model_dump(mode="json"), "meaning": lists})

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

    @model_validator(mode="after")
    def _of_one_version(self) -> Self:
        other = 3 - self.version
        foreign = [name for name in ONLY_IN[other] if name in self.model_fields_set]
        if foreign:
            raise ValueError(f"{foreign[0]} belongs to version {other} of the observation, this is {self.version}")
        if self.version == 2 and not self.exchanges:
            raise ValueError("version 2 needs the exchanges that have a bit: set observation.exchanges=[NAME, ...]")
        if len(set(self.exchanges)) < len(self.exchanges):
            raise ValueError("observation.exchanges names one of them twice")
        if self.phase >= self.decide_every_hours:
            raise ValueError(f"phase must be below decide_every_hours = {self.decide_every_hours}")
        return self

    @model_serializer(mode="wrap")
    def _only_its_own(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what belongs to the other version: version 1 is written as it was before there was another."""
        foreign = ONLY_IN[3 - self.version]
        return {name: value for name, value in write(self).items() if name not in foreign}

    @property
    def widths(self) -> Widths:
        """How many values there are of what."""
        if self.version == 1:
            return Widths(PORTFOLIO_VALUES, SLOT_VALUES + self.liquidation_distance, len(self.features), 0)
        pair = len(values.PAIR) + 2 * len(self.exchanges) + self.wallets * len(values.PAIR_WALLETS)
        slot = pair + len(values.SLOT) + self.wallets * len(values.SLOT_WALLETS)
        return Widths(len(values.CONTEXT), slot, pair, self.actions)

    @property
    def size(self) -> int:
        """Length of the observation."""
        widths = self.widths
        return self.first_opportunity + widths.opportunity * self.opportunities + widths.mask

    @property
    def first_opportunity(self) -> int:
        """Place of the first value of an opportunity."""
        return self.widths.portfolio + self.widths.slot * self.positions

    @property
    def actions(self) -> int:
        """Number of actions: hold, enter opportunity 1..O, exit position 1..P."""
        return action_count(self.opportunities, self.positions)

    @property
    def candidates(self) -> int:
        """How many ranked pairs suffice: every held pair can hide itself and its mirror."""
        return self.opportunities + 2 * self.positions

    def at_phase(self, phase: int) -> ObservationSpec:
        """The same observation decided at another phase; version 1, which is decided every hour, has phase 0 alone.

        Raises ``SettingsError`` for a phase that the clock does not have.
        """
        if not 0 <= phase < self.decide_every_hours:
            raise SettingsError(
                f"the observation has the phases 0 to {self.decide_every_hours - 1}; {phase} is none of them"
            )
        return self if phase == self.phase else self.model_copy(update={"phase": phase})

    @property
    def clock(self) -> DecisionClock:
        """The hours at which it is decided."""
        return DecisionClock(self.decide_every_hours, self.phase)


class Scaler(Settings):
    """Mean and standard deviation per feature of a spec, fitted on training hours only; version 2 has none."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @field_validator("deviation")
    @classmethod
    def _positive(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(not deviation > 0 for deviation in value):
            raise ValueError("deviations must be positive (a constant feature counts as 1)")
        return value
