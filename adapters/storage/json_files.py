"""JSON that was written by us and may have been damaged since: objects, and files with one object a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.errors import DataError, cut

LONGEST_REASON = 120


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object. Raises ``DataError`` naming the file, ``FileNotFoundError`` when there is none."""
    try:
        return parsed_object(path.read_bytes())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=str(path)) from None
    except ValueError as error:
        raise DataError(f"is damaged: {error}", file=str(path)) from None


def read_objects(path: Path) -> list[dict[str, Any]]:
    """The objects of a file with one a line, empty lines left out; none when there is no file. Raises ``DataError``."""
    found = []
    try:
        lines = path.read_bytes().splitlines() if path.exists() else []
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=str(path)) from None
    for number, line in enumerate(lines, start=1):
        try:
            if line.strip():
                found.append(parsed_object(line))
        except ValueError as error:
            raise DataError(f"line {number} is damaged: {error}", file=str(path)) from None
    return found


def parsed_object(content: bytes) -> dict[str, Any]:
    """The JSON object that a text is. Raises ``ValueError`` that says what it is instead."""
    try:
        value = json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:  # no JSON, or no UTF-8
        raise ValueError(f"no JSON ({cut(str(error), LONGEST_REASON)})") from None
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    return value
