"""What each point of a grid has yielded so far: one line of JSON a point, appended as soon as it is measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.datasets.atomic import replacing_file
from adapters.tuning_grid import Point
from engine.errors import DataError
from engine.metrics import Metrics


class PointLog:
    """The points of one strategy in one fold, in the order of the search."""

    def __init__(self, path: Path, points: Sequence[Point]) -> None:
        self._path, self._points = path, points
        self.metrics: list[Metrics] = []

    def read(self) -> None:
        """Take what is there; a last line that a kill has cut is dropped.

        Raises ``DataError`` when the lines are of other points than this version tries.
        """
        lines = self._path.read_bytes().splitlines(keepends=True) if self._path.exists() else []
        whole = [line for line in lines if line.endswith(b"\n")]
        self.metrics = [self._metrics(number, line) for number, line in enumerate(whole, start=1)]
        if len(whole) < len(lines):
            with replacing_file(self._path) as aside:
                aside.write_bytes(b"".join(whole))

    def append(self, metrics: Metrics) -> None:
        """Keep the metrics of the next point."""
        line = {"trial": len(self.metrics) + 1, "parameters": self._points[len(self.metrics)], "metrics": metrics}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
        self.metrics.append(metrics)

    @property
    def missing(self) -> Sequence[Point]:
        """Points that are still to be measured."""
        return self._points[len(self.metrics) :]

    def _metrics(self, number: int, line: bytes) -> Metrics:
        try:
            kept: Any = json.loads(line)
            metrics: Metrics = dict(kept["metrics"])
            same = number <= len(self._points) and kept["parameters"] == self._points[number - 1]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"line {number} cannot be read ({error}); remove the file", file=str(self._path)) from None
        if not same or kept["trial"] != number:
            raise DataError(
                f"point {number} is another one than this version tries; a walk-forward can be resumed only with the "
                "version that began it",
                file=str(self._path),
            )
        return metrics
