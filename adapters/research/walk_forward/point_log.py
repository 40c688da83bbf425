"""What each point of a grid has yielded so far: one line of JSON a point, appended as soon as it is measured."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from adapters.configuration.tuning_grids import Point
from adapters.research.tuning import Measured
from adapters.storage import sealed
from adapters.storage.atomic import replacing_file
from adapters.storage.regular_files import read_regular
from engine.errors import DataError
from engine.market.data import Floats

MOST_BYTES = 2 * 2**30
"""Of a log: a line has some KB, a grid some hundred points."""
MOST_RETURNS_BYTES = 8 * 24 * 366 * 100
"""Hourly returns of a century."""


class PointLog:
    """The points of one strategy in one fold, in the order of the search."""

    def __init__(self, path: Path, points: Sequence[Point]) -> None:
        self._path, self._points = path, points
        self.measured: list[Measured] = []

    def read(self) -> None:
        """Take what is there; a last line that a kill has cut is dropped.

        Raises ``DataError`` when the lines are of other points than this version tries.
        """
        lines = self._lines()
        whole = [line for line in lines if line.endswith(b"\n")]
        self.measured = [self._measured(number, line) for number, line in enumerate(whole, start=1)]
        if len(whole) < len(lines):
            # The torn line has to go: the next one would be appended to it.
            with replacing_file(self._path) as aside:
                aside.write_bytes(b"".join(whole))

    def _lines(self) -> list[bytes]:
        try:
            content = read_regular(self._path, MOST_BYTES)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", file=str(self._path)) from None
        return BytesIO(content).readlines()

    def append(self, measured: Measured) -> None:
        """Keep what the next point has yielded."""
        # Kept in the line, so that lines that were lost or swapped are noticed when it is read.
        number = len(self.measured) + 1
        line = {
            "trial": number,
            "parameters": self._points[number - 1],
            "metrics": measured.metrics,
            "returns": _packed(measured.returns),
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(sealed.text_of(line, indent=None, allow_nan=True).encode())
        self.measured.append(measured)

    @property
    def missing(self) -> Sequence[Point]:
        """Points that are still to be measured."""
        return self._points[len(self.measured) :]

    def _measured(self, number: int, line: bytes) -> Measured:
        try:
            kept = sealed.parsed(line, indent=None).values
            measured = Measured(dict(kept["metrics"]), _unpacked(kept["returns"]))
            same = number <= len(self._points) and kept["parameters"] == self._points[number - 1]
        except (ValueError, KeyError, TypeError, zlib.error) as error:
            raise DataError(f"line {number} cannot be read ({error}); remove the file", file=str(self._path)) from None
        if not same or kept["trial"] != number:
            raise DataError(
                f"point {number} is another one than this version tries; a walk-forward can be resumed only with the "
                "version that began it",
                file=str(self._path),
            )
        return measured


def _packed(returns: Floats) -> str:
    """Every bit of the numbers, as text; most hours of most points are zero."""
    return base64.b64encode(zlib.compress(returns.astype("<f8").tobytes())).decode("ascii")


def _unpacked(text: str) -> Floats:
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(base64.b64decode(text), MOST_RETURNS_BYTES)
    if unpacking.unconsumed_tail:
        raise ValueError(f"returns of more than {MOST_RETURNS_BYTES:,} bytes")
    return np.frombuffer(content, "<f8").astype(np.float64)
