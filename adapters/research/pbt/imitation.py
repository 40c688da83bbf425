"""The imitation that all agents of a population begin at: made once, and kept with the state of the run.

``state/imitation.npz`` has the weights, ``state/imitation.json`` the checksum and how well they do what the rule does;
it is written last, so that a run which has it has both.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from adapters.research.pbt.job import PBTJob
from adapters.research.policy.member import TEACHER, teacher_of
from adapters.storage.array_files import read_arrays, write_arrays
from adapters.storage.pbt_names import STATE
from adapters.storage.sealed import SealError, read_sealed, write_sealed
from engine.errors import DataError
from rl_training.learners.imitation import soften
from rl_training.learners.sb3 import weights_of
from rl_training.recipe.courses import Courses
from rl_training.recipe.teaching import taught

ARRAYS, FACTS = "imitation.npz", "imitation.json"
SHA256 = "sha256"
Start = Mapping[str, NDArray[Any]]
"""Weights by name, as a learner begins at them."""


def has_imitation(folder: Path) -> bool:
    """Whether the run has made it."""
    return (folder / STATE / FACTS).is_file()


def make_imitation(folder: Path, job: PBTJob, courses: Courses) -> None:
    """Teach a network the rule in the courses of a run and keep it, softened. Raises ``DivergenceError``."""
    # Sums of several threads differ in their last bits.
    torch.set_num_threads(1)
    training = job.settings.training
    policy, found = taught(teacher_of(job.settings), courses, training.imitation, seed=job.seed)
    soften(policy, training.anchor.softening)
    state = folder / STATE
    state.mkdir(exist_ok=True)
    sha256 = write_arrays(state / ARRAYS, weights_of(policy))
    # What is not defined (no trade was shown) is not known; JSON has no nan.
    known = {name: value for name, value in found._asdict().items() if np.isfinite(value)}
    write_sealed(state / FACTS, {"of": TEACHER, **known, SHA256: sha256})


def read_facts(folder: Path) -> dict[str, Any]:
    """How well the imitation does what the rule does, on decisions that it was not fitted to. Raises ``DataError``."""
    path = folder / STATE / FACTS
    try:
        return read_sealed(path)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=str(path)) from None
    except SealError as error:
        raise DataError(str(error), file=str(path)) from None


def read_start(folder: Path) -> Start:
    """What agents begin at. Raises ``DataError`` when it is missing or another one than the run made."""
    path = folder / STATE / ARRAYS
    try:
        return read_arrays(path, str(read_facts(folder)[SHA256]))
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=str(path)) from None
    except ValueError as error:
        raise DataError(f"is no imitation of this run: it {error}", file=str(path)) from None
