"""Arrays in ``.npz`` and ``.npy`` files that notice any change and can be no larger than they are long.

A ``.npz`` file ends with the SHA-256 of everything before it, as the comment of the archive, so that numpy reads it as
any other. Whoever keeps an index of files notes the same digits there: a whole file in the place of another one is
noticed too.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.storage.atomic import replacing_file
from adapters.storage.regular_files import read_regular, sha256_of

MOST_BYTES = 2 * 2**30
"""Of a checkpoint: environments, weights and optimiser state take a few MB."""
DIGITS = 64
END_BYTES = 22
"""Of the record that ends an archive without a comment."""

Arrays = dict[str, NDArray[Any]]


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Write a ``.npz`` file, whole or not at all; returns its seal."""
    content = BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    # An archive ends with the length of its comment, zero so far.
    body = content.getvalue()[:-2] + DIGITS.to_bytes(2, "little")
    seal = sha256_of(body)
    _write(path, body + seal.encode())
    return seal


def read_arrays(path: Path, seal: str | None = None) -> Arrays:
    """The arrays of a ``.npz`` file, nothing unpickled. ``seal`` is what an index says of it.

    A file without a seal, from an older version, is taken unless the index has one. Raises ``OSError``, and
    ``ValueError`` with the reason for a file that was altered or is no such file.
    """
    content = read_regular(path, MOST_BYTES)
    _check(content, seal)
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            return {info.filename.removesuffix(".npy"): _array(archive, info) for info in archive.infolist()}
    except ValueError:
        raise
    except Exception as error:  # zipfile and numpy raise a dozen unrelated classes for a malformed file
        raise ValueError(f"is not whole ({_words(error)})") from None


def write_array(path: Path, array: NDArray[Any]) -> str:
    """Write a ``.npy`` file, whole or not at all; returns its SHA-256 for the index."""
    content = BytesIO()
    np.save(content, array, allow_pickle=False)
    _write(path, content.getvalue())
    return sha256_of(content.getvalue())


def read_array(path: Path, sha256: str | None = None) -> NDArray[Any]:
    """The array of a ``.npy`` file, nothing unpickled. Raises ``OSError``, ``ValueError``."""
    content = read_regular(path, MOST_BYTES)
    if sha256 is not None and sha256_of(content) != sha256:
        raise ValueError("was altered or cut: it does not match its checksum")
    try:
        return _parsed(content)
    except Exception as error:  # numpy raises several classes for a malformed header
        raise ValueError(f"is not whole ({_words(error)})") from None


def _check(content: bytes, seal: str | None) -> None:
    # An archive without a comment ends with its end record, so its signature stands exactly there.
    unsealed = content[-END_BYTES:].startswith(b"PK\x05\x06")
    if unsealed and seal is None:
        return
    own = content[-DIGITS:].decode("ascii", "replace")
    if own != sha256_of(content[:-DIGITS]) or seal not in (None, own):
        raise ValueError("was altered or cut: it does not match its checksum")


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    # What is stored as it is cannot unpack to more than the file holds; a zip bomb of a few KB can.
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise ValueError("is no file of arrays as arb writes them (compressed)")
    return _parsed(archive.read(info))


def _parsed(content: bytes) -> NDArray[Any]:
    """An array of its own; numpy alone would make room for what a header claims before it looks what there is."""
    file = BytesIO(content)
    version = np.lib.format.read_magic(file)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, in_columns, dtype = read_header(file)
    # Objects could only be read by unpickling, which runs whatever code the file holds.
    if dtype.hasobject:
        raise ValueError("holds objects, not numbers")
    # The copy at the end makes the array writable and lets go of the rest of the file.
    flat = np.frombuffer(content, dtype, offset=file.tell())
    return flat.reshape(shape, order="F" if in_columns else "C").copy()


def _write(path: Path, content: bytes) -> None:
    with replacing_file(path) as aside:
        aside.write_bytes(content)


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
