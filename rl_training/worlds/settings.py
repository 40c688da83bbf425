"""Settings of the worlds that training draws; ``configs/worlds.yaml`` has the shipped ones with their reasons."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from engine.settings import NotNegative, Positive, Settings

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Days = Annotated[int, Field(ge=1, le=1000)]
Range = tuple[Positive, Positive]
"""Lowest and highest."""


def _check_range(settings: Settings, name: str) -> None:
    low, high = getattr(settings, name)
    if low > high:
        raise ValueError(f"{name}: the lowest, {low:g}, is above the highest, {high:g}")


class DecayClass(Settings):
    """Spikes of which the best pair nets ``from_bps`` a day or more at their height."""

    from_bps: NotNegative
    half_life_hours: Positive


class AugmentationSettings(Settings):
    """How funding and price deviations of a recorded market are scaled, coin by coin and segment by segment."""

    segment_days: tuple[Days, Days] = (5, 24)
    spike_share: Share = 0.3
    """Of the segments; in the others a factor of ``calm_factors`` holds."""
    spike_factors: Range = (2.0, 40.0)
    """Log-uniform; the factor at the beginning of the segment, which falls towards one of ``calm_factors``."""
    calm_factors: Range = (0.5, 1.5)
    decay: tuple[DecayClass, ...] = (
        DecayClass(from_bps=0, half_life_hours=30),
        DecayClass(from_bps=20, half_life_hours=20),
        DecayClass(from_bps=50, half_life_hours=12),
    )
    """How fast it falls, by what the coin's best pair netted in the day before, times the factor."""
    half_life_spread: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] = 1.0
    """Deviation of the logarithm of a spike's half-life: most spikes are over soon, some last for weeks."""
    smoothing_hours: Annotated[int, Field(ge=1, le=168)] = 8
    """Mean of so many last hours: no factor jumps within an hour."""
    deviation_exponent: NotNegative = 0.5
    """A leg's deviation from the mean of the coin is scaled by the factor to this power; 0: prices stay."""

    @model_validator(mode="after")
    def _ranges_rise(self) -> Self:
        for name in ("segment_days", "spike_factors", "calm_factors"):
            _check_range(self, name)
        return self

    @model_validator(mode="after")
    def _classes_are_sorted(self) -> Self:
        floors = [row.from_bps for row in self.decay]
        if not floors or floors[0] != 0 or floors != sorted(set(floors)):
            raise ValueError("decay needs classes that rise by from_bps, the first one from 0")
        return self


class ConditionSettings(Settings):
    """Which rules hold in a world: shares are of worlds, drawn independently of each other, on top of the run's own."""

    late_share: Share = 0.5
    """Every fill one hour later."""
    volume_spread_share: Share = 0.5
    """``spread_model: volume``; in the others ``fixed``."""
    maker_share: Share = 0.25
    """``execution: maker_then_hedge``; in the others ``taker``. Needs high and low."""
    by_exchange_share: Share = 0.5
    """A wallet at each exchange, entries shrunk to what is free there (``fit_to_free_margin``); in the others the
    account is pooled, and what the run says of free margin stays."""
    cost_multiples: Range = (1.0, 2.0)
    """Log-uniform."""
    coin_dropout: Share = 0.3
    """Chance of each coin to be absent; one that can be traded stays."""
    exchange_dropout: Share = 0.2
    """Chance of each exchange to be absent; two stay."""

    @model_validator(mode="after")
    def _costs_rise(self) -> Self:
        _check_range(self, "cost_multiples")
        return self


class WorldsSettings(Settings):
    """Worlds that one training run draws."""

    count: Annotated[int, Field(ge=1, le=1024)] = 6
    recorded_share: Share = 0.5
    """Of the worlds that have the recorded market, under drawn conditions too; the others have augmented ones."""
    augmentation: AugmentationSettings = AugmentationSettings()
    conditions: ConditionSettings = ConditionSettings()

    @property
    def recorded(self) -> int:
        """How many of the worlds have the recorded market; they are drawn first."""
        return round(self.count * self.recorded_share)

    def held_back(self, count: int) -> WorldsSettings:
        """Of so many worlds to judge by: augmented, and filled at once, since later fills are played on top."""
        conditions = self.conditions.model_copy(update={"late_share": 0.0})
        return self.model_copy(update={"count": count, "recorded_share": 0.0, "conditions": conditions})
