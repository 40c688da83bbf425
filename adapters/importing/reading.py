"""Every file behind a path, read by one format: the recordings in them, and what was not taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from adapters.importing.formats.protocol import Format
from adapters.importing.recordings import NotUsedError, Recording
from adapters.importing.refusals import Refusals
from adapters.importing.source_files import CHECKSUM, files_in, opened
from engine.errors import DataError, UserError

Progress = Callable[[str, int, int], None]
Each = Callable[[Recording], Recording]
"""What is done with a recording as soon as it is read, before the next file is."""


def recordings_in(
    path: Path, chosen: Format, refusals: Refusals, progress: Progress, each_one: Each
) -> list[Recording]:
    """What the files hold. One that is damaged or wrong costs no other file.

    Raises ``DataError`` when there is no file that the format reads.
    """
    found: list[Recording] = []
    wanted = []
    for each in files_in(path):
        # A file that is named by itself is meant, whatever it is called.
        if each == path or chosen.wants(each):
            wanted.append(each)
        elif not each.name.endswith(CHECKSUM):
            refusals.unused.append((str(each), "a file of another kind"))
    if not wanted:
        raise DataError(f"holds no file that --from {chosen.name} reads: {chosen.files}", file=str(path))
    for done, each in enumerate(wanted, start=1):
        found += [each_one(recording) for recording in _read(each, chosen, refusals)]
        progress("reading files", done, len(wanted))
    return found


def _read(path: Path, chosen: Format, refusals: Refusals) -> list[Recording]:
    # All of a file or nothing: of one that is cut off the part before the cut must not pass for all of it.
    mine: list[Recording] = []
    told: list[str] = []
    try:
        for source in opened(path):
            try:
                mine += chosen.read(source)
            except NotUsedError as other:
                told.append(str(other))
    except DataError as error:
        refusals.file(str(path), error.problem)
        return []
    except UserError as error:
        refusals.file(str(path), str(error))
        return []
    if told and not mine:
        refusals.unused.append((str(path), told[0]))
    for recording in mine:
        for remark in recording.remarks:
            refusals.remark(remark, recording.file)
    return mine
