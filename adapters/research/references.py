"""What a run is measured against: the rules as configured, doing nothing, and both hindsight optima, same hours and
costs. They are played once for all strategies of a command, and lie in the folder of every run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from adapters.configuration.settings import ArbSettings
from adapters.research.players import make_player
from adapters.research.playing import Play, Played
from adapters.storage.run_files import equity_frame, write_json
from engine.analysis.hindsight import is_searchable
from engine.windows import Window
from engine.worlds import World

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


@dataclass(frozen=True, eq=False)
class Benchmark:
    """One of the runs that others are measured against."""

    name: str
    parameters: Mapping[str, Any]
    played: Played

    @property
    def equity(self) -> pd.DataFrame:
        """Time and equity in USD."""
        return equity_frame(self.played.records, self.played.world.tape)


def play_references(
    world: World[ArbSettings], window: Window, play: Play, names: Iterable[str] = REFERENCES
) -> list[Benchmark]:
    """Play the references of those names over the window, under the world's costs and limits.

    The optima are left out where hindsight cannot be right: margin by exchange, legs that fail, order books.
    """
    playable = [name for name in names if REFERENCES[name][0] != "hindsight" or is_searchable(world.tape)]
    return [_played(name, world, window, play) for name in playable]


def _played(name: str, world: World[ArbSettings], window: Window, play: Play) -> Benchmark:
    strategy, forced = REFERENCES[name]
    parameters = {**world.settings.strategies.get(strategy, {}), **forced}
    player = make_player(strategy, parameters, may_know_future=True)
    return Benchmark(name, parameters, play(name, player, world, window))


def write_references(folder: Path, references: Sequence[Benchmark]) -> None:
    """``references.parquet`` (time and equity in USD by reference) and ``references.json`` (what they are)."""
    equity = {one.name: one.equity for one in references}
    curves = {name: one["equity_usd"] for name, one in equity.items()}
    pd.DataFrame({"time": equity[references[0].name]["time"], **curves}).to_parquet(folder / CURVES, index=False)
    facts = [
        {"name": one.name, "parameters": dict(one.parameters), **one.played.marks, "metrics": one.played.metrics}
        for one in references
    ]
    write_json(folder / FACTS, {"references": facts})
