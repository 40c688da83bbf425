"""Structured log of a state: one JSON line an event in a rotating file, one plain line on the terminal."""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from adapters.storage.causes import cause
from engine.errors import in_words

LOG_FILE = "paper.log.jsonl"
FILE_BYTES, FILES = 5_000_000, 5


class _Handler(logging.handlers.RotatingFileHandler):
    """Says in one line when the file cannot be written: an hour that is booked must not fail for its log."""

    def __init__(self, path: Path, echo: Callable[[str], None]) -> None:
        super().__init__(path, maxBytes=FILE_BYTES, backupCount=FILES, encoding="utf-8")
        self._echo = echo

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002  # the library's
        error = sys.exception()
        told = None if error is None else cause(error) or in_words(error)
        self._echo(f"{self.baseFilename} cannot be written: {told}")


class PaperLog:
    """``tell(kind, text)`` reaches both; use it as a context manager, which closes the file."""

    def __init__(self, folder: Path, echo: Callable[[str], None]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._echo = echo
        self._lock, self._is_open = threading.Lock(), True
        self._handler = _Handler(folder / LOG_FILE, echo)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._is_open = False
            self._handler.close()

    def tell(self, kind: str, text: str, **fields: object) -> None:
        """Write one event; ``fields`` stand in the file only. May be called from any thread."""
        self._echo(text)
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "kind": kind, "text": text, **fields}
        # A notification that fails after the end is told on the terminal only: the handler would open its file again.
        with self._lock:
            if self._is_open:
                self._handler.handle(logging.LogRecord("paper", logging.INFO, "", 0, json.dumps(line), None, None))
