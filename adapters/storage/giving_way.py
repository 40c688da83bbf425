"""What may give way to new results: a folder in which all was written by the very command that writes it anew.

Other people's files, links, and what other commands of ours wrote are never removed; the command refuses instead.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType

from engine.errors import UserError

Owned = Callable[[Path], str | None]
"""Says what in a folder is not what a command wrote there; None when all of it is."""
HEAD_BYTES = 1_000_000
OTHERWISE = "choose another folder or remove it first"
NO_FOLDERS: Mapping[str, Owned] = MappingProxyType({})


def check_place(path: Path, owned: Owned | None = None, *, otherwise: str = OTHERWISE) -> None:
    """Raise ``UserError`` unless a new folder can take this place; ``otherwise`` says what to do instead.

    It can where nothing stands, in place of an empty folder, and in place of one that is ``owned`` by whoever asks.
    """
    if path.name in ("", ".."):
        # The working folder or the root would be renamed away under the feet of whoever stands there.
        raise UserError(f"{path} cannot give way to a new folder; give one of its own, such as {path / 'run'}")
    if path.is_symlink():
        raise UserError(f"{path} exists already and is a link; give the folder that it leads to, or another one")
    if not path.exists():
        check_parents(path)
        return
    if not path.is_dir():
        raise UserError(f"{path} exists already and is no folder; choose another place")
    if path.is_mount():
        raise UserError(f"{path} is where a disk is mounted; choose a folder in it, such as {path / 'run'}")
    if not any(path.iterdir()):
        return
    why = "it is not empty" if owned is None else owned(path)
    if why is not None:
        raise UserError(f"{path} exists already and stays as it is ({why}); {otherwise}")


def check_file(path: Path, is_ours: Callable[[bytes], bool], what: str) -> None:
    """Raise ``UserError`` unless a file can be written here: nothing stands there, or a file that ``is_ours``.

    It is judged by its first part; ``what`` says in words what it would have to be.
    """
    if not path.exists() and not path.is_symlink():
        if path.name in ("", ".."):
            raise UserError(f"{path} is a folder; give a file, such as {path / 'file'}")
        check_parents(path)
        return
    if not path.is_symlink() and path.is_file():
        with path.open("rb") as file:
            if is_ours(file.read(HEAD_BYTES)):
                return
    raise UserError(f"{path} exists already and is not {what}; choose another file or remove it first")


def unfamiliar(folder: Path, files: Collection[str], folders: Mapping[str, Owned] = NO_FOLDERS) -> str | None:
    """The first thing in a folder that is none of the ``files`` and ``folders`` (patterns of names); None without."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = folder / entry.name
        if entry.is_symlink():
            return f"{path} is a link"
        if entry.is_dir(follow_symlinks=False):
            inside = next((owned for pattern, owned in folders.items() if fnmatchcase(entry.name, pattern)), None)
            why = f"{path} is not from this command" if inside is None else inside(path)
            if why is not None:
                return why
        elif not entry.is_file(follow_symlinks=False) or not any(fnmatchcase(entry.name, name) for name in files):
            return f"{path} is not from this command"
    return None


def unsigned(manifest: Path, command: str) -> str | None:
    """Why a JSON file does not say that a command of ours wrote the folder it lies in; None when it says so."""
    try:
        # A manifest alone says little: other commands and other programs write files of that name too.
        values = json.loads(manifest.read_bytes())
    except FileNotFoundError:
        return f"it has no {manifest.name}"
    except (OSError, ValueError, RecursionError):
        return f"{manifest} cannot be read"
    said = values.get("written_by") if isinstance(values, dict) else None
    return None if said == command else f"{manifest} does not say that `{command}` wrote it"


def check_parents(path: Path) -> None:
    """Raise ``UserError`` when something above a path is no folder."""
    parent = next(above for above in path.absolute().parents if above.exists() or above.is_symlink())
    if not parent.is_dir():
        raise UserError(f"{path} cannot be made: {parent} is no folder")
