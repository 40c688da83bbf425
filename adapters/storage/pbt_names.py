"""Files of a finished run that other commands read, by name, and its summary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapters.storage.sealed import SealError, read_sealed
from engine.errors import DataError

JOB = "job.json"
"""What the run was asked for; a folder that holds it is one of `arb train-pbt`."""
SUMMARY = "training_summary.json"
STATE = "state"
"""Folder of what agents bring back: results, checkpoints, hourly returns."""


def agent_zip(agent: int) -> str:
    """The agent as it was at the end; ``stable_baselines3.PPO.load`` opens it."""
    return f"agent_{agent}_model.zip"


def read_summary(run: Path) -> dict[str, Any]:
    """``training_summary.json`` of a run; empty where there is none yet. Raises ``DataError`` for an altered one."""
    path = run / SUMMARY
    try:
        return read_sealed(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=str(path)) from None
    except SealError as error:
        raise DataError(str(error), file=str(path)) from None
