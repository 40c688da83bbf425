"""A strategy in a file that is named by its path: ``./mine.py:MyRule``, ``/home/me/strategies/mine.py:MyRule``.

A file is no module of a package, so a folder of the user's own may be called ``strategies`` like that of arb.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def file_and_class(name: str) -> tuple[str, str] | None:
    """The path as it was written and the class; None for the name of an installed strategy or of a module."""
    place, _, attribute = name.rpartition(":")
    return (place, attribute) if "/" in place or place.endswith(".py") else None


def load_file(place: str) -> ModuleType:
    """The module of a Python file, run once a process; what lies beside it can be imported by it.

    Raises ``FileNotFoundError`` where no such file is, and whatever the file itself raises.
    """
    path = Path(place).resolve()
    if not path.is_file() or path.suffix != ".py":
        raise FileNotFoundError(f"there is no Python file {place}")
    # The name under which messages show it. The slash keeps it apart from every module that can be imported.
    name = place if "/" in place else f"./{place}"
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ == str(path):
        return loaded
    if str(path.parent) not in sys.path:
        # At the end: a file of the user's called numpy.py must not stand in for the library.
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{place} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    # Before it runs, as an import does: dataclasses look their module up while it is still being made.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        # Half a module must not be taken for a whole one at the next try.
        del sys.modules[name]
        raise
    return module


def file_facts(name: str) -> dict[str, str] | None:
    """For a manifest: where the file of a strategy lies and the SHA-256 of it; None for one that is no file's."""
    found = file_and_class(name)
    if found is None:
        return None
    path = Path(found[0]).resolve()
    return {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
