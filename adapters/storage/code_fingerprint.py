"""Which code has made what lies in a cache: a changed formula must never go on with the numbers of the old one."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LIBRARIES = ("numpy", "numba", "pandas", "pyarrow")
"""What reads files and computes features, besides arb itself."""


@cache
def code_fingerprint(*packages: str) -> str:
    """Sixteen hex digits over every source file of packages of arb, and over the versions of ``LIBRARIES``.

    All of a package counts, whether it takes part or not: nobody has to think of a list when a module is added.
    """
    return fingerprint_of_sources(*(ROOT / package for package in packages))


def fingerprint_of_sources(*folders: Path) -> str:
    """Over names and contents of the Python files below folders. Raises ``FileNotFoundError`` when one has none."""
    # Another version of a library may compute other bits from the same sources.
    digest = hashlib.sha256(repr([(name, version(name)) for name in LIBRARIES]).encode())
    for folder in folders:
        files = sorted(folder.rglob("*.py"))
        if not files:
            raise FileNotFoundError(f"{folder} holds no source files of arb")
        for path in files:
            content = path.read_bytes()
            # Name and length are part of it: otherwise text could move from one file to the next unseen.
            digest.update(f"\n{path.relative_to(folder.parent).as_posix()} {len(content)} ".encode() + content)
    return digest.hexdigest()[:16]
