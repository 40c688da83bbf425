"""JSON files that notice any change: since format 2 each carries a checksum over all of its content.

A file is exactly the text that was written. What is altered, be it a digit or a blank, no longer matches. Files of
format 1, from before there was a checksum, are read as they are; they have neither key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.storage.atomic import replacing_file
from adapters.storage.json_files import parsed_object
from adapters.storage.regular_files import read_regular

FORMAT, CHECKSUM = "format", "checksum"
UNSEALED, SEALED = 1, 2
"""Formats: without a checksum, and with one."""
MOST_BYTES = 64 * 2**20
"""A file of state has some hundred KB at most."""


class SealError(ValueError):
    """The text is not whole, was altered, or is of a newer version; the message says which."""


class NewerFormatError(SealError):
    """A later version of arb wrote the text."""

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__(f"has format {version}, of a newer version of arb; this one reads up to {SEALED}")


@dataclass(frozen=True)
class Unsealed:
    """The content of a file without ``format`` and ``checksum``."""

    values: dict[str, Any]
    format: int
    checksum: str
    """Of the content, whether the file carries it or not: its identity."""


def text_of(values: Mapping[str, Any], indent: int | None = 2, *, allow_nan: bool = False) -> str:
    """The text of a sealed file, or with ``indent`` None of a sealed line. Raises ``ValueError`` for nan."""
    content = {FORMAT: SEALED, **values}
    return _text({**content, CHECKSUM: checksum_of(content)}, indent, allow_nan=allow_nan)


def checksum_of(values: Mapping[str, Any]) -> str:
    """64 hex digits over the canonical JSON of values."""
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def parsed(content: bytes, indent: int | None = 2) -> Unsealed:
    """What a text of ``text_of`` says. Raises ``SealError``."""
    try:
        values = parsed_object(content)
        # Written again and compared below: two texts with the same values may differ in blanks or in a key given twice.
        text = _text(values, indent)
    except (ValueError, RecursionError) as error:
        raise SealError(f"is damaged: {error}") from None
    version = values.pop(FORMAT, UNSEALED)
    if type(version) is not int or version < UNSEALED:
        raise SealError(f"has a format that is no number: {str(version)[:20]!r}")
    if version > SEALED:
        raise NewerFormatError(version)
    stated = values.pop(CHECKSUM, None)
    checksum = checksum_of({FORMAT: version, **values})
    if (version == SEALED or stated is not None) and (stated != checksum or text.encode() != content):
        raise SealError("was altered: it does not match its hash")
    return Unsealed(values, version, checksum)


def write_sealed(path: Path, values: Mapping[str, Any]) -> None:
    """Write a file, whole or not at all."""
    with replacing_file(path) as aside:
        aside.write_text(text_of(values), encoding="utf-8")


def read_sealed(path: Path) -> dict[str, Any]:
    """The content of a file. Raises ``OSError``, ``SealError``."""
    return parsed(read_regular(path, MOST_BYTES)).values


def _text(values: Any, indent: int | None, *, allow_nan: bool = True) -> str:
    return json.dumps(values, indent=indent, allow_nan=allow_nan) + "\n"
