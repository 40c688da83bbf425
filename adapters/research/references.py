"""What a run is measured against: the rules as configured, doing nothing, and both hindsight optima, same hours and
costs. They are played once for all strategies of a command, and lie in the folder of every run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from adapters.configuration.settings import ArbSettings
from adapters.research.players import Entrant, entrant_maker
from adapters.storage.run_files import equity_frame, write_json
from engine.accounting.records import Records
from engine.analysis.hindsight import is_searchable
from engine.analysis.metrics import Metrics, compute_metrics
from engine.observation.opportunities import OpportunityBuilder
from engine.windows import Window
from strategies.plugin import Context

CURVES, FACTS = "references.parquet", "references.json"
HINDSIGHT, PERSISTENT = "hindsight", "hindsight persistent"
REFERENCES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "hold": ("hold", {}),
    "greedy": ("greedy", {}),
    "carry": ("carry", {}),
    "basis": ("basis", {}),
    PERSISTENT: ("hindsight", {"persistent": True}),
    HINDSIGHT: ("hindsight", {"persistent": False}),
}
"""Label to strategy and the parameters that are not taken from the settings."""

Play = Callable[[str, Entrant], Records]
"""A backtest of an entrant, under a label for people who wait."""


@dataclass(frozen=True, eq=False)
class Reference:
    """One reference run; ``marks`` are those of an entrant that knows the future."""

    name: str
    parameters: Mapping[str, Any]
    marks: Mapping[str, Any]
    metrics: Metrics
    equity: pd.DataFrame


def play_references(
    builder: OpportunityBuilder, settings: ArbSettings, window: Window, play: Play, names: Iterable[str] = REFERENCES
) -> list[Reference]:
    """Play the references of those names over the window, under the settings' costs and limits.

    The optima are left out where hindsight cannot be right: margin by exchange, legs that fail.
    """
    playable = [name for name in names if REFERENCES[name][0] != "hindsight" or is_searchable(settings)]
    return [_played(name, builder, settings, window, play) for name in playable]


def _played(name: str, builder: OpportunityBuilder, settings: ArbSettings, window: Window, play: Play) -> Reference:
    strategy, forced = REFERENCES[name]
    parameters = {**settings.strategies.get(strategy, {}), **forced}
    configured = settings.model_copy(update={"strategies": {**settings.strategies, strategy: parameters}})
    entrant = entrant_maker(strategy, configured, Context(np.random.default_rng(0)))(builder, window)
    records = play(name, entrant)
    metrics = compute_metrics(records, settings.initial_capital_usd)
    return Reference(name, parameters, entrant.marks, metrics, equity_frame(records, entrant.builder.tape))


def write_references(folder: Path, references: Sequence[Reference]) -> None:
    """``references.parquet`` (time and equity in USD by reference) and ``references.json`` (what they are)."""
    times = references[0].equity["time"]
    curves = {one.name: one.equity["equity_usd"] for one in references}
    pd.DataFrame({"time": times, **curves}).to_parquet(folder / CURVES, index=False)
    facts = [
        {"name": one.name, "parameters": dict(one.parameters), **one.marks, "metrics": one.metrics}
        for one in references
    ]
    write_json(folder / FACTS, {"references": facts})
