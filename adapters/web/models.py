"""The deployed bundles, read once and anew when their folder changes: whole, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.storage.bundles import DESCRIPTION, WEIGHTS, LoadedBundle, load_bundle
from adapters.storage.run_names import CARD
from adapters.web.problems import MissingError, public_words
from engine.errors import ArbError

Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class Shelf:
    """Bundles by name, in the order of their folders, as they stood at one moment."""

    bundles: Mapping[str, LoadedBundle]
    card: str | None
    """Of all of them."""
    problem: str | None = None
    """Why what stands in the folder now was not taken; then these are the bundles from before."""


class Models:
    """The bundles of a folder, as ``arb deploy`` leaves them, or a bundle itself."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self._seen: Stamp | None = None
        self._shelf = Shelf({}, None)

    def shelf(self) -> Shelf:
        """What may be asked now."""
        stamp = self._stamp()
        with self._lock:
            if stamp != self._seen:
                self._shelf, self._seen = self._read(), stamp
            return self._shelf

    def bundle(self, name: str | None) -> LoadedBundle:
        """The one of a name; without a name the only one, or the first. Raises ``MissingError``."""
        shelf = self.shelf()
        if not shelf.bundles:
            raise MissingError(f"no model is deployed{f' ({shelf.problem})' if shelf.problem else ''}")
        if name is None:
            return next(iter(shelf.bundles.values()))
        if name not in shelf.bundles:
            raise MissingError(f"there is no such model; there are {', '.join(shelf.bundles)}")
        return shelf.bundles[name]

    def picture(self, name: str) -> str:
        """A picture beside the card. Raises ``MissingError``."""
        if (text := _text(self._folder / name)) is None:
            raise MissingError("there is no such picture")
        return text

    def _folders(self) -> list[Path]:
        if (self._folder / DESCRIPTION).is_file():
            return [self._folder]
        return sorted(path.parent for path in self._folder.glob(f"*/{DESCRIPTION}"))

    def _stamp(self) -> Stamp:
        return tuple(_stamps(self._folders()))

    def _read(self) -> Shelf:
        try:
            bundles = {folder.name: load_bundle(folder) for folder in self._folders()}
        except (ArbError, OSError) as error:
            # A deployment that is half done, or damaged: who asks is still answered by the one before.
            told = public_words(error) if isinstance(error, ArbError) else str(error.strerror)
            return Shelf(self._shelf.bundles, self._shelf.card, told)
        return Shelf(bundles, _text(self._folder / CARD))


def _stamps(folders: list[Path]) -> Iterator[tuple[str, int, int, int]]:
    for folder in folders:
        for name in (DESCRIPTION, WEIGHTS):
            try:
                found = (folder / name).stat()
            except OSError:
                yield folder.name, 0, 0, 0
            else:
                # A file that is put in the place of another has another inode, even within the clock's resolution.
                yield folder.name, found.st_mtime_ns, found.st_size, found.st_ino


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def facts_of(name: str, bundle: LoadedBundle, card: str | None) -> dict[str, Any]:
    """``shapes.Model`` of a bundle."""
    policy, meta = bundle.policy, bundle.meta
    return {
        "name": name, "kind": policy.kind, "members": policy.members, "architecture": policy.architecture,
        "clock": str(policy.spec.clock), "observation": policy.spec.model_dump(mode="json"),
        "spec_hash": policy.spec.hash(), "cost_table_hash": policy.cost_table_hash, "identity": bundle.identity,
        "actions": list(meta.get("actions", [])), "metrics": dict(meta.get("metrics") or {}), "card": card,
    }  # fmt: skip
