"""The one rule for names that become files, folders, columns or keys, and file names that never collide."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from engine.errors import UserError

LONGEST = 40
MARKS = "-_."
LONGEST_STEM = 100
SHOWN = 60
DEVICES = frozenset({"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in "0123456789¹²³")})
"""Files that cannot exist on Windows, whatever their suffix."""
TAG = "~"
"""Begins what tells apart file names that some file system takes for one; no name holds it."""
_PLAIN_CONTRACT = re.compile(r"[A-Z0-9]+/[A-Z0-9]+:[A-Z0-9]+")


def problem_of(name: str, *, longest: int = LONGEST) -> str | None:
    """What is wrong with a name, in words; None when it may be used.

    Letters of any script with their accents, digits, and ``-``, ``_``, ``.`` between them: no separators of paths, no
    spaces, no control characters, nothing that a shell or a spreadsheet would run.
    """
    if not name:
        return "is empty"
    if len(name) > longest:
        return f"is longer than {longest} characters"
    if not _is_letter_or_digit(name[0]):
        return f"begins with {_character(name[0])}; a name begins with a letter or a digit"
    if name[-1] in MARKS:
        return f"ends with {_character(name[-1])}"
    for character in name:
        is_accent = unicodedata.category(character).startswith("M")
        if not (_is_letter_or_digit(character) or is_accent or character in MARKS):
            return f"holds {_character(character)}; letters, digits and {' '.join(MARKS)} are allowed"
    return None


def checked_name(name: str, what: str, *, longest: int = LONGEST) -> str:
    """The name in its usual unicode form (NFC). Raises ``UserError`` that calls it ``what``."""
    usual = unicodedata.normalize("NFC", name)
    problem = problem_of(usual, longest=longest)
    if problem is not None:
        raise UserError(f"{what} {shown(name)} {problem}")
    return usual


def shown(name: str) -> str:
    """A name in quotes for a message: one line, not too long, nothing that could move a cursor."""
    cut = name if len(name) <= SHOWN else f"{name[:SHOWN]}..."
    return repr(cut) if cut.isprintable() else ascii(cut)


def plain(name: str) -> str:
    """A name for a line of text: as it is where that is short and printable, else in quotes."""
    return name if name.isprintable() and len(name) <= SHOWN else shown(name)


def file_stem(name: str) -> str:
    """A file name without suffix for a checked name; ``name_of_stem`` gives the name back.

    Different names have different file names on every file system, also where ``a`` is ``A``, and none is that of a
    device: a name that is not the only one of its spellings carries a tag.
    """
    # casefold too: the capital sharp s is its own upper case, yet a file system that folds case takes it for SS.
    is_only_one = name == name.upper() == unicodedata.normalize("NFC", name.casefold().upper())
    if is_only_one and name.split(".")[0] not in DEVICES:
        return name
    return f"{name}{TAG}{_digest(name)}"


def name_of_stem(stem: str) -> str:
    """The name that a file is named after; file systems may have changed its unicode form."""
    return unicodedata.normalize("NFC", stem.split(TAG)[0])


def contract_stem(listed: str) -> str:
    """A file name without suffix for a contract as ccxt names it, ``BTC/USDT:USDT``: one for each contract."""
    readable = re.sub(r"[^A-Za-z0-9]+", "_", listed)
    return (
        # Other marks all become ``_``, and two contracts would share one file, each with the other's bars.
        readable if _PLAIN_CONTRACT.fullmatch(listed) and len(readable) <= LONGEST_STEM else _tagged(readable, listed)
    )


def name_of_folder(name: str | None, folder: str) -> str:
    """The name that was given, checked, else that of the folder. Raises ``UserError`` for one that cannot be used."""
    if name:
        return checked_name(name, "--name")
    return folder if folder.isprintable() else stem_of_text(folder)


def stem_of_text(text: str) -> str:
    """A file name without suffix for any text: the text where it keeps the rule, else what is readable and a tag."""
    if problem_of(text, longest=LONGEST_STEM) is None and text.split(".")[0].upper() not in DEVICES:
        return text
    return _tagged(re.sub(r"[^\w.-]+", "_", text).strip("._-"), text)


def _tagged(readable: str, text: str) -> str:
    return f"{readable[:LONGEST]}{TAG}{_digest(text)}"


def together(paths: Sequence[Path]) -> str:
    """The places of files or folders that a message is about."""
    return " and ".join(map(str, paths))


def _is_letter_or_digit(character: str) -> bool:
    return unicodedata.category(character)[0] == "L" or unicodedata.category(character) == "Nd"


def _character(character: str) -> str:
    is_seen = character.isprintable() and not unicodedata.category(character).startswith("M")
    return repr(character) if is_seen else f"the character U+{ord(character):04X}"


def _digest(text: str) -> str:
    # JSON can hold half a surrogate pair, which plain UTF-8 refuses to write.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
