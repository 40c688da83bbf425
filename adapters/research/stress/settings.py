"""Which scenarios a stress test plays; the shipped ones stand in ``configs/stress.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from adapters.configuration.settings import CONFIGS, merge, read_yaml
from engine.settings import Execution, NotNegative, Positive, Settings, SpreadModel, parse_settings

SHIPPED = CONFIGS / "stress.yaml"

Probability = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Hours = Annotated[int, Field(ge=1)]


class CostScenarios(Settings):
    """Multiples of fees, spreads and slippage, and how the break-even is searched."""

    multiples: tuple[NotNegative, ...]
    highest: Positive
    tolerance: Positive


class SpreadScenarios(Settings):
    """Models of spreads where none is quoted; that of the run itself is not played again."""

    models: tuple[SpreadModel, ...]


class ExecutionScenarios(Settings):
    """Ways in which orders are filled; that of the run itself is not played again."""

    ways: tuple[Execution, ...]


class LateScenarios(Settings):
    """Hours by which every fill is late."""

    hours: tuple[Hours, ...]


class LegFailureScenarios(Settings):
    """How likely each leg fails to open or to close, each probability under so many seeds."""

    probabilities: tuple[Probability, ...]
    seeds: Annotated[int, Field(ge=1)]


class OutageScenarios(Settings):
    """Length of a silence, how many of them in a run, and whether the worst-timed one is played too."""

    hours: Hours
    count: Annotated[int, Field(ge=0)]
    worst: bool


class CapitalScenarios(Settings):
    """Capital in USD, and impact as a fraction of price at a notional of one day's volume."""

    usd: tuple[Positive, ...]
    impact_coefficient: Positive


class LeverageScenarios(Settings):
    """Multiples of equity that positions may add up to, with margin by exchange."""

    values: tuple[Annotated[float, Field(ge=1, allow_inf_nan=False)], ...]


class StressSettings(Settings):
    """Everything that a stress test plays."""

    costs: CostScenarios
    spreads: SpreadScenarios
    execution: ExecutionScenarios
    late: LateScenarios
    leg_failure: LegFailureScenarios
    outages: OutageScenarios
    capital: CapitalScenarios
    leverage: LeverageScenarios


def load_stress(path: Path | None = None) -> StressSettings:
    """The shipped scenarios, those of a file over them. Raises ``SettingsError`` naming file, key and value."""
    values = read_yaml(SHIPPED)
    if path is not None:
        values = merge(values, read_yaml(path))
    return parse_settings(StressSettings, values, origin=str(path or SHIPPED))
