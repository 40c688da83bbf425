"""Strategies that read for themselves what they are not shown, in every way that a file can be read."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from engine.observation.view import Order, View
from engine.settings import Settings
from strategies.plugin import Context, NoParameters


def place() -> Path:
    """The data set, or whatever a test wants to be read."""
    return Path(os.environ["ARB_TEST_READS"])


class Reader:
    """Does nothing with what it reads: that it reads is what is looked for."""

    Parameters: ClassVar[type[Settings]] = NoParameters
    policies: ClassVar[int] = 0

    def __init__(self, parameters: Settings, context: Context) -> None:
        """Reads nothing yet."""

    def read(self) -> Any:
        """Called at every decision."""

    def decide(self, view: View) -> Sequence[Order]:  # noqa: ARG002  # the interface asks for it
        self.read()
        return []


class ByPyarrow(Reader):
    def read(self) -> Any:
        return pq.read_table(place())


class ByMemoryMap(Reader):
    def read(self) -> Any:
        with pa.memory_map(str(place())) as content:
            return content.size()


class ByPandas(Reader):
    def read(self) -> Any:
        return pd.read_parquet(place())


class ByPython(Reader):
    def read(self) -> Any:
        return place().read_bytes()


class ByDescriptor(Reader):
    def read(self) -> Any:
        handle = os.open(place(), os.O_RDONLY)
        os.close(handle)


class ByNumpy(Reader):
    def read(self) -> Any:
        return np.load(place(), mmap_mode="r")


class ByAnotherProcess(Reader):
    def read(self) -> Any:
        return subprocess.run(["cat", str(place())], capture_output=True, check=True)


class InAThread(Reader):
    def read(self) -> Any:
        thread = threading.Thread(target=lambda: pq.read_table(place()))
        thread.start()
        thread.join()


class OnceForAll(Reader):
    """Reads when it is made, and keeps it for every later one."""

    kept: ClassVar[Any] = None

    def __init__(self, parameters: Settings, context: Context) -> None:
        super().__init__(parameters, context)
        if OnceForAll.kept is None:
            OnceForAll.kept = pq.read_table(place())


class OwnFile(Reader):
    """Reads a file of its own when it is made, as one may."""

    def __init__(self, parameters: Settings, context: Context) -> None:
        super().__init__(parameters, context)
        place().read_bytes()


class Diary(Reader):
    """Writes what it did."""

    def read(self) -> Any:
        with place().open("a", encoding="utf-8") as file:
            file.write("decided\n")
