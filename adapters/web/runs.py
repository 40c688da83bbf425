"""Run folders as the service shows them: rows of ``arb runs``, and the files of one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapters.reporting.run_table import as_json
from adapters.research.run_kinds import RunRow
from adapters.research.run_list import SortKey, list_runs, run_of
from adapters.storage.pbt_names import read_summary
from adapters.storage.run_names import MANIFEST
from adapters.storage.saved_run import SavedRun, read_run, run_folders
from adapters.web.problems import MissingError, public_words
from engine.errors import UserError


class Runs:
    """The runs in a folder. An id is the name of a folder in it, looked up among those that are there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def rows(self, sort: SortKey) -> list[dict[str, Any]]:
        """What ``arb runs --json`` prints; nothing where the folder is not there yet."""
        return as_json(list_runs(self._folder, sort)) if self._folder.is_dir() else []

    def row(self, run: str) -> RunRow:
        """Raises ``MissingError``."""
        try:
            return run_of(self._folder, run)
        except UserError as error:
            raise MissingError(public_words(error)) from None

    def one(self, run: str) -> dict[str, Any]:
        """The row of a run, and the players that have files of their own."""
        (found,) = as_json([self.row(run)])
        return {**found, "players": [folder.name for folder in self._folders(run)]}

    def saved(self, run: str, player: str | None) -> SavedRun:
        """The files of a backtest; of several players in one folder the named one, else the first.

        Raises ``MissingError`` for a folder that has none.
        """
        folders = self._folders(run)
        if not folders:
            raise MissingError("this run has no files of a backtest")
        if player is None:
            return read_run(folders[0])
        for folder in folders:
            if folder.name == player:
                return read_run(folder)
        raise MissingError(f"this run has no such player; it has {', '.join(folder.name for folder in folders)}")

    def text(self, run: str, name: str | None) -> str:
        """A file directly in a run's folder. Raises ``MissingError``."""
        if name is None:
            raise MissingError("this run has no page")
        self.row(run)
        try:
            return (self._folder / run / name).read_text(encoding="utf-8")
        except OSError:
            raise MissingError("this run has no such file") from None

    def manifest(self, run: str) -> str:
        """What a run was made by, as it was written."""
        return self.text(run, MANIFEST)

    def population(self, run: str) -> dict[str, Any]:
        """Row and summary of population based training. Raises ``MissingError`` for another kind of run."""
        if self.row(run).kind != "train-pbt":
            raise MissingError("this run trained no population")
        return {**self.one(run), "summary": read_summary(self._folder / run)}

    def _folders(self, run: str) -> list[Path]:
        self.row(run)
        try:
            return run_folders(self._folder / run)
        except UserError:
            return []
