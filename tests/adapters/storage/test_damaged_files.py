"""Files of ours that were damaged are told by whoever reads them: the file, what is wrong, what to do."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.exchanges.coins import Listing
from adapters.exchanges.raw_store import PRICES, RawStore
from adapters.research.contestants import SUMMARY, ranking
from adapters.research.deployment import later_looks
from adapters.research.pbt.state_folder import StateFolder
from adapters.research.training import read_checkpoint, restore
from adapters.storage.bundles import LOOKS
from adapters.storage.json_files import read_object, read_objects
from adapters.storage.saved_run import fitting_together
from adapters.storage.trials import read_trials
from engine.errors import DataError, UserError

JUNK: dict[str, bytes] = {
    "empty": b"",
    "text": b"my notes\n",
    "zeros": bytes(5000),
    "half a zip": b"PK\x03\x04" + bytes(200),
    "half an array": b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (9",
    "an array of objects": b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(128)
    + b".",
    "the head of parquet": b"PAR1" + bytes(50) + b"PAR1",
    "deep brackets": b"[" * 100_000,
    "no UTF-8": b"\xff\xfe\xff",
}


@pytest.mark.parametrize("kind", JUNK)
def test_checkpoints_and_returns_that_are_none_are_told(kind: str, tmp_path: Path) -> None:
    state, place = StateFolder(tmp_path), tmp_path / "iteration_001"
    place.mkdir()
    for suffix in ("npz", "npy", "json"):
        (place / f"agent_0.{suffix}").write_bytes(JUNK[kind])
    for read in (state.checkpoint, state.returns, state.read):
        with pytest.raises(DataError, match=r"agent_0\.(npz|npy|json): ") as told:
            read(1, 0)
        assert "\n" not in str(told.value)
    with pytest.raises(UserError, match="remove it to train from the start") as told_:
        read_checkpoint(place / "agent_0.npz")
    assert len(str(told_.value)) < 500


def test_a_zip_of_other_arrays_is_no_checkpoint_of_a_training(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    np.savez(path, other=np.zeros(3))

    class Training:
        def restore(self, arrays: dict[str, Any]) -> None:
            self.weights = arrays["weights"]

    with pytest.raises(UserError, match=r"is no checkpoint of this training \(KeyError: 'weights'"):
        restore(Training(), path)  # type: ignore[arg-type]  # a double


def test_a_zip_with_a_damaged_member_is_told(tmp_path: Path) -> None:
    path = tmp_path / "iteration_001" / "agent_0.npz"
    path.parent.mkdir()
    np.savez_compressed(path, weights=np.arange(5000.0))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match="is not a readable checkpoint"):
        StateFolder(tmp_path).checkpoint(1, 0)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights.npy", b"\x93NUMPY")
    with pytest.raises(DataError, match="is not a readable checkpoint"):
        StateFolder(tmp_path).checkpoint(1, 0)


@pytest.mark.parametrize("kind", JUNK)
def test_json_that_is_none_is_told(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(JUNK[kind])
    with pytest.raises(DataError, match=r"file\.json: is damaged: ") as told:
        read_object(path)
    assert len(str(told.value)) < len(str(path)) + 200
    if kind != "empty":
        with pytest.raises(DataError, match=r"file\.json: line \d+ is damaged"):
            read_objects(path)
    with pytest.raises(FileNotFoundError):
        read_object(tmp_path / "none")
    assert read_objects(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("summary", "said"),
    [
        ("{", "is damaged"),
        ("[]", "it is not a JSON object"),
        ('{"finished": true}', "its ranking"),
        ('{"finished": true, "ranking": 3}', "its ranking"),
        ('{"finished": true, "ranking": ["x"]}', "its ranking"),
        ('{"finished": false}', "has not finished"),
    ],
)
def test_a_summary_that_is_not_whole_is_told(summary: str, said: str, tmp_path: Path) -> None:
    (tmp_path / SUMMARY).write_text(summary)
    with pytest.raises(UserError, match=said):
        ranking(tmp_path)


@pytest.mark.parametrize("line", ["{", "[]", '{"from": "x"}', '{"to": 3}', '{"to": "noon"}', '{"to": "2025-01-01"}'])
def test_a_look_that_is_not_whole_is_told(line: str, tmp_path: Path) -> None:
    from datetime import UTC, datetime
    from types import SimpleNamespace

    (tmp_path / LOOKS).write_text(f"\n{line}\n")
    with pytest.raises(DataError, match=r"looks\.jsonl: "):
        later_looks(tmp_path, SimpleNamespace(validate_to=datetime(2025, 1, 1, tzinfo=UTC)))  # type: ignore[arg-type]  # a double


@pytest.mark.parametrize("kind", JUNK)
def test_tables_that_are_none_are_told(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "trials.parquet"
    path.write_bytes(JUNK[kind])
    with pytest.raises(DataError, match=r"trials\.parquet: ") as told:
        read_trials(path)
    assert "\n" not in str(told.value)


PARTS: dict[str, Callable[[Path], Any]] = {
    "junk": lambda path: path.write_bytes(b"PAR1" + bytes(50) + b"PAR1"),
    "another table": lambda path: pq.write_table(pa.table({"a": [1]}), path),
    "texts for times": lambda path: pq.write_table(pa.table({name: ["x"] for name in PRICES.names}), path),
}


@pytest.mark.parametrize("kind", PARTS)
def test_a_part_of_a_download_that_is_damaged_is_told(kind: str, tmp_path: Path) -> None:
    listing = Listing("bybit", "BTC", "BTC/USDT:USDT", 1, 1.0, "USDT", None)
    path = RawStore(tmp_path).part(listing, "prices")
    path.parent.mkdir(parents=True)
    PARTS[kind](path)
    with pytest.raises(
        DataError,
        match=r"is damaged; delete it and it will be|is none of arb's parts; move it",
    ):
        RawStore(tmp_path).load(listing)


def test_what_fails_while_runs_are_shown_is_told_but_no_other_trouble(tmp_path: Path) -> None:
    def failing(error: Exception) -> None:
        with fitting_together([tmp_path]):
            raise error

    with pytest.raises(UserError, match=r"do not fit together \(KeyError: 'pnl_usd'.*arb -v"):
        failing(KeyError("pnl_usd"))
    for other in (OSError(28, "full", "x"), MemoryError(), DataError("is damaged")):
        with pytest.raises(type(other)):
            failing(other)
