"""Plans: sealed files that say what a run was asked to do, from which it goes on after it was cut."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from adapters.storage.sealed import SealError, read_sealed
from engine.errors import UserError
from engine.settings import Settings, first_problem

Plan = TypeVar("Plan", bound=Settings)


def read_plan_file(path: Path, kind: type[Plan], *, absent: str, anew: str) -> Plan:
    """The plan in a file. Raises ``UserError``: ``absent`` when there is none, ``anew`` names what to start again."""
    try:
        return kind.model_validate(read_sealed(path))
    except FileNotFoundError:
        raise UserError(absent) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except SealError as error:
        raise UserError(f"{path} {error}; start {anew} anew") from None
    except ValidationError as error:
        raise UserError(f"{path} cannot be used: {first_problem(kind, error)}") from None
