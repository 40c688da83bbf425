"""What an agent brings back from an iteration, and the checkpoints that lie beside it.

A result is written after its checkpoint and its hourly returns, each whole or not at all; that a result is there means
that the agent has finished the iteration. Everything else of a run follows from the job and these results.
"""

from __future__ import annotations

from math import nan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from adapters.datasets.atomic import replacing_file
from engine.errors import DataError, in_words
from engine.market import Floats
from engine.settings import Settings, first_problem
from rl_training.pbt.population import Assignment


class AgentResult(Settings):
    """One agent after one iteration. Numbers that are not finite are None."""

    agent: int
    iteration: int
    source: int | None
    hyperparameters: dict[str, float]
    steps: int
    fitness: float | None
    reward: float | None
    metrics: dict[str, float | int | None]
    failure: str | None
    log: tuple[dict[str, float | None], ...]

    @property
    def score(self) -> float:
        """The fitness, nan where there is none."""
        return nan if self.fitness is None else self.fitness

    @property
    def assignment(self) -> Assignment:
        return Assignment(self.agent, self.hyperparameters, self.source)


class StateFolder:
    """``state/`` of a run: ``iteration_001/agent_0.json``, ``.npz`` and ``.npy``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, iteration: int, agent: int) -> AgentResult | None:
        """The result, or None when the agent has not finished that iteration. Raises ``DataError``."""
        path = self._path(iteration, agent, "json")
        try:
            return AgentResult.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", file=str(path)) from None
        except ValidationError as error:
            problem = first_problem(AgentResult, error)
            raise DataError(f"is not a result of this version: {problem}", file=str(path)) from None

    def write(self, result: AgentResult, checkpoint: dict[str, NDArray[Any]], returns: Floats | None) -> None:
        """Keep a checkpoint and the score's hourly returns, then the result that says they are there."""
        with replacing_file(self._path(result.iteration, result.agent, "npz")) as aside, aside.open("wb") as file:
            np.savez(file, allow_pickle=False, **checkpoint)
        if returns is not None:
            with replacing_file(self._path(result.iteration, result.agent, "npy")) as aside, aside.open("wb") as file:
                np.save(file, returns, allow_pickle=False)
        with replacing_file(self._path(result.iteration, result.agent, "json")) as aside:
            aside.write_text(result.model_dump_json() + "\n", encoding="utf-8")

    def checkpoint(self, iteration: int, agent: int) -> dict[str, NDArray[Any]]:
        """The arrays of a checkpoint; nothing is unpickled. Raises ``DataError``."""
        path = self._path(iteration, agent, "npz")
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except Exception as error:  # numpy, zipfile and zlib raise many kinds for a damaged file
            raise DataError(f"is not a readable checkpoint: {in_words(error)}", file=str(path)) from None

    def returns(self, iteration: int, agent: int) -> Floats:
        """Hourly returns behind a score. Raises ``DataError``."""
        path = self._path(iteration, agent, "npy")
        try:
            with path.open("rb") as file:
                return np.asarray(np.load(file, allow_pickle=False), np.float64)
        except Exception as error:  # numpy raises many kinds for a damaged file
            raise DataError(f"are no readable returns of a score: {in_words(error)}", file=str(path)) from None

    def drop_checkpoints(self, iteration: int) -> None:
        """Remove the arrays of an iteration that nothing goes on from any more."""
        for path in self._path(iteration, 0, "npz").parent.glob("agent_*.npz"):
            path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what writers that were killed have left aside."""
        for path in self._folder.glob("iteration_*/.*.tmp"):
            path.unlink(missing_ok=True)

    def _path(self, iteration: int, agent: int, suffix: str) -> Path:
        return self._folder / f"iteration_{iteration:03d}" / f"agent_{agent}.{suffix}"
