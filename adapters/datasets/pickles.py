"""Old pickled scalers are refused: loading one can run any code."""

from __future__ import annotations

from pathlib import Path

from engine.errors import UserError

_SUFFIXES = (".pkl", ".pickle", ".joblib")


def refuse_pickle(path: Path) -> None:
    """Raise ``UserError`` if ``path`` is a pickle, by name or by its first bytes, or a folder that holds one.

    A path that does not exist is let through: its absence is somebody else's error.
    """
    if path.is_dir():
        old = path / "feature_scaler.pkl"
        if old.exists():
            raise _refusal(old)
    elif path.suffix in _SUFFIXES or _starts_like_a_pickle(path):
        raise _refusal(path)


def _refusal(path: Path) -> UserError:
    return UserError(f"{path} is a pickle and is never loaded; refit with `arb data fit-scaler`")


def _starts_like_a_pickle(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(2)
    # Protocol 2 and later open with 0x80 and the protocol's number.
    return len(start) == 2 and start[0] == 0x80 and 2 <= start[1] <= 5
