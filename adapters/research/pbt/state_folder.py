"""A ``StateStore`` on disk: what agents bring back from an iteration, and the checkpoints that lie beside it.

A result is written after its checkpoint and its hourly returns, each whole or not at all; that a result is there means
that the agent has finished the iteration. It is sealed, and has the checksums of the other files: whatever is altered
in a run's state is noticed. Everything else of a run follows from the job and these results.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from adapters.storage.array_files import read_array, read_arrays, write_array, write_arrays
from adapters.storage.atomic import replacing_file
from adapters.storage.pbt_names import agent_zip
from adapters.storage.regular_files import sha256_of
from adapters.storage.sealed import SealError, read_sealed, write_sealed
from engine.errors import DataError
from engine.market.data import Floats
from engine.settings import first_problem
from rl_training.pbt.ports import Checkpoint
from rl_training.pbt.results import AgentResult


class StateFolder:
    """``state/`` of a run: ``iteration_001/agent_0.json``, ``.npz`` and ``.npy``; agents' zips lie beside it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, iteration: int, agent: int) -> AgentResult | None:
        """The result, or None when the agent has not finished that iteration. Raises ``DataError``."""
        path = self._path(iteration, agent, "json")
        try:
            return AgentResult.model_validate(read_sealed(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", file=str(path)) from None
        except SealError as error:
            raise DataError(str(error), file=str(path)) from None
        except ValidationError as error:
            problem = first_problem(AgentResult, error)
            raise DataError(f"is not a result of this version: {problem}", file=str(path)) from None

    def write(
        self, result: AgentResult, checkpoint: Checkpoint, returns: Floats | None, model: bytes | None = None
    ) -> AgentResult:
        """Keep the agent's zip, a checkpoint and the score's hourly returns, then the result that says they are there.

        Returns the result, with the checksums of the files.
        """
        own, checksums = (result.iteration, result.agent), {}
        if model is not None:
            with replacing_file(self._folder.parent / agent_zip(result.agent)) as aside:
                aside.write_bytes(model)
            checksums["model_sha256"] = sha256_of(model)
        checksums["checkpoint_sha256"] = write_arrays(self._path(*own, "npz"), checkpoint)
        if returns is not None:
            checksums["returns_sha256"] = write_array(self._path(*own, "npy"), returns)
        kept = result.model_copy(update=checksums)
        write_sealed(self._path(*own, "json"), kept.model_dump(mode="json"))
        return kept

    def checkpoint(self, iteration: int, agent: int) -> dict[str, NDArray[Any]]:
        """The arrays of a checkpoint; nothing is unpickled. Raises ``DataError``."""
        path = self._path(iteration, agent, "npz")
        result = self.read(iteration, agent)
        try:
            return read_arrays(path, None if result is None else result.checkpoint_sha256)
        except (OSError, ValueError) as error:
            raise DataError(f"is not a readable checkpoint: {_reason(error)}", file=str(path)) from None

    def returns(self, iteration: int, agent: int) -> Floats:
        """Hourly returns behind a score. Raises ``DataError``."""
        path = self._path(iteration, agent, "npy")
        result = self.read(iteration, agent)
        try:
            return np.asarray(read_array(path, None if result is None else result.returns_sha256), np.float64)
        except (OSError, ValueError) as error:
            raise DataError(f"are no readable returns of a score: {_reason(error)}", file=str(path)) from None

    def drop_checkpoints(self, iteration: int) -> None:
        """Remove the arrays of an iteration that nothing goes on from any more."""
        # The arrays alone: results and returns are what a resumed run is replayed from.
        for path in self._path(iteration, 0, "npz").parent.glob("agent_*.npz"):
            path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what writers that were killed have left aside."""
        for path in self._folder.glob("iteration_*/.*.tmp"):
            path.unlink(missing_ok=True)

    def _path(self, iteration: int, agent: int, suffix: str) -> Path:
        return self._folder / f"iteration_{iteration:03d}" / f"agent_{agent}.{suffix}"


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else f"it {error}"
