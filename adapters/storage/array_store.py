"""Arrays kept in cache folders as ``.npy`` files with a manifest; nothing is ever unpickled.

A folder is written aside and renamed, so that nobody sees half of one. Its manifest is sealed and names the folder and
the checksum of every array: a folder in which anything was altered, or that stands in another one's place, counts as
absent.
"""

from __future__ import annotations

import os
import re
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.storage import sealed
from adapters.storage.atomic import new_directory
from adapters.storage.giving_way import unfamiliar
from adapters.storage.regular_files import read_regular, require_regular
from engine.errors import UserError

_MANIFEST = "manifest.json"
_ENTRY = re.compile(r"[0-9a-f]{16,}(-\w+)*")
"""Names of entries: a fingerprint and what follows it."""
AnyArray = NDArray[Any]


def cache_root() -> Path:
    """``$ARB_CACHE_DIR``, else ``$XDG_CACHE_HOME/arb``, else ``~/.cache/arb``."""
    if own := os.environ.get("ARB_CACHE_DIR"):
        return Path(own)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "arb"
    return Path.home() / ".cache" / "arb"


def write_arrays(folder: Path, arrays: Mapping[str, AnyArray], more: Mapping[str, Any], *, kept: int) -> None:
    """Keep arrays with facts about them; of the folders beside this one only the ``kept`` used last stay.

    A disk that cannot take it costs only the next start its time, so that is no error; nor is a folder of somebody
    else's in its place, which stays.
    """
    try:
        with new_directory(folder, instead_of=arrays_only) as aside:
            for name, array in arrays.items():
                np.save(aside / f"{name}.npy", array, allow_pickle=False)
            facts = {name: _facts(array) for name, array in arrays.items()}
            manifest = {**more, "entry": folder.name, "arrays": facts}
            (aside / _MANIFEST).write_text(sealed.text_of(manifest), encoding="utf-8")
        _forget_the_oldest(folder.parent, kept)
    except (OSError, UserError):
        return


def read_arrays(folder: Path) -> tuple[dict[str, AnyArray], dict[str, Any]]:
    """Read-only memory-mapped arrays and the facts kept with them.

    Raises ``OSError`` or ``ValueError`` when there is no such folder or it is damaged.
    """
    found = sealed.parsed(read_regular(folder / _MANIFEST, sealed.MOST_BYTES))
    manifest = found.values
    if found.format != sealed.SEALED or manifest["entry"] != folder.name:
        raise ValueError("the manifest is of another folder")
    arrays = {name: _read(folder, name, facts) for name, facts in manifest["arrays"].items()}
    # The manifest's time is that of the last use, by which it is decided what is forgotten.
    os.utime(folder / _MANIFEST)
    return arrays, manifest


def _facts(array: AnyArray) -> dict[str, Any]:
    return {"shape": list(array.shape), "dtype": array.dtype.str, "crc32": zlib.crc32(array.data)}


def _read(folder: Path, name: str, facts: Mapping[str, Any]) -> AnyArray:
    require_regular(folder / f"{name}.npy")
    try:
        # Unlike np.load this knows no other format than .npy and refuses arrays of Python objects.
        array: AnyArray = np.asarray(np.lib.format.open_memmap(folder / f"{name}.npy", mode="r"))
    except Exception as error:  # of a header that is no Python literal numpy raises whatever the tokenizer raises
        raise ValueError(f"{name} is no array: {error}") from None
    if _facts(array) != facts:
        raise ValueError(f"{name} is not what the manifest says")
    return array


def _forget_the_oldest(folder: Path, kept: int) -> None:
    """Recordings that grow every hour would fill the disk otherwise. Only entries of ours are counted and removed."""
    # The cache's place is chosen by the user: a folder with another kind of name is not ours to remove.
    entries = [path for path in folder.glob(f"*/{_MANIFEST}") if _ENTRY.fullmatch(path.parent.name)]
    entries.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for manifest in entries[kept:]:
        if arrays_only(manifest.parent) is None:
            shutil.rmtree(manifest.parent, ignore_errors=True)


def arrays_only(folder: Path) -> str | None:
    """What in a folder is not from ``write_arrays``; None when all of it is."""
    if folder.is_symlink():
        return f"{folder} is a link"
    return unfamiliar(folder, (_MANIFEST, "*.npy"))
