"""Contents of files with something wrong in them, drawn from a generator: what a disk, a network or a person does."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Rng = np.random.Generator
Alter = Callable[[bytes, Rng], bytes]

NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 1e308, -1e308, 5e-324, 2**63, -(2**63), 10**30, "", "x", "\n", "\u202e", "../x",
    [], {}, [None], [[]], {"": 0}, "1", float("nan"), float("inf"),
)  # fmt: skip


def flipped(content: bytes, rng: Rng) -> bytes:
    """One to four bytes are other ones."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        changed[int(rng.integers(len(changed)))] ^= int(rng.integers(1, 256))
    return bytes(changed)


def cut(content: bytes, rng: Rng) -> bytes:
    """The end is missing."""
    return content[: int(rng.integers(len(content)))]


def spliced(content: bytes, rng: Rng) -> bytes:
    """A part is missing, stands there twice, is zero, or is noise."""
    start, stop = sorted(int(place) for place in rng.integers(0, len(content) + 1, 2))
    part = content[start:stop]
    instead = (b"", part + part, bytes(len(part)), rng.bytes(len(part)), b" " + part)[int(rng.integers(5))]
    return content[:start] + instead + content[stop:]


def longer(content: bytes, rng: Rng) -> bytes:
    """Something stands behind the end."""
    return content + rng.bytes(int(rng.integers(1, 100)))


BYTES: tuple[Alter, ...] = (flipped, flipped, cut, spliced, longer)


def altered(content: bytes, rng: Rng) -> bytes:
    """Any of these."""
    return BYTES[int(rng.integers(len(BYTES)))](content, rng)


def altered_values(values: Any, rng: Rng) -> Any:
    """JSON with one value, somewhere in it, replaced by a nasty one, left out, or doubled."""
    copy = json.loads(json.dumps(values))
    place = copy
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return copy
        key = keys[int(rng.integers(len(keys)))]
        if isinstance(place[key], dict | list) and place[key] and rng.random() < 0.8:
            place = place[key]
            continue
        _alter(place, key, rng)
        return copy


def _alter(place: Any, key: Any, rng: Rng) -> None:
    what = rng.random()
    if what < 0.15:
        del place[key]
    elif what < 0.4 and isinstance(place[key], int | float) and not isinstance(place[key], bool):
        place[key] = place[key] * float(rng.choice([-1.0, 0.0, 10.0, 1e6, 1 + 1e-12])) + float(rng.choice([0.0, 1e-9]))
    elif what < 0.5 and isinstance(place, list):
        place.append(place[key])
    else:
        place[key] = NASTY[int(rng.integers(len(NASTY)))]


def something_else(path: Path, rng: Rng) -> None:
    """No file of bytes any more: missing, a folder, a pipe, a device, a link to nowhere or to itself."""
    path.unlink()
    make: tuple[Callable[[], object], ...] = (
        lambda: None,
        path.mkdir,
        lambda: os.mkfifo(path),
        lambda: path.symlink_to("/dev/zero"),
        lambda: path.symlink_to(path.name),
        lambda: path.symlink_to("nowhere"),
    )
    make[int(rng.integers(len(make)))]()
