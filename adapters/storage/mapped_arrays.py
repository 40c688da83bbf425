"""Many arrays in one file that processes map: the same memory for all of them, and one open file for each.

A file an array would take a descriptor for each, of which a process has a thousand. What lies where stands in a layout,
which whoever writes the file keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALIGNED_BYTES = 64
RECORD = "record"
"""Stands for the kind of records: a kind in words would come back with another alignment."""

Layout = dict[str, Any]
"""By name of the array [place in the file, shape, kind], as JSON has it."""


def write_mapped(path: Path, arrays: Mapping[str, NDArray[Any]]) -> Layout:
    """Write the arrays one after the other; returns where they lie."""
    layout: Layout = {}
    with path.open("wb") as file:
        for name, array in arrays.items():
            file.write(b"\0" * (-file.tell() % ALIGNED_BYTES))
            layout[name] = [file.tell(), list(array.shape), RECORD if array.dtype.names else array.dtype.str]
            file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return layout


def read_mapped(path: Path, layout: Layout, records: Mapping[str, np.dtype[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays over the file's own pages; ``records`` are the kinds of those that have fields.

    Copy-on-write, since compiled code tells read-only arrays apart.
    """
    content = np.asarray(np.memmap(path, np.uint8, mode="c"))
    found = {}
    for name, (start, shape, kind) in layout.items():
        dtype = records[name] if kind == RECORD else np.dtype(kind)
        stop = start + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        found[name] = content[start:stop].view(dtype).reshape(shape)
    return found
