"""The state of trainings and walk-forwards: whatever is altered in a file is noticed, older files are still read."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from adapters.research.pbt.state_folder import StateFolder
from adapters.storage import array_files, sealed
from adapters.storage.array_files import read_array, read_arrays, write_array, write_arrays
from adapters.storage.regular_files import NOT_REGULAR, read_regular
from engine.errors import DataError
from rl_training.pbt.results import AgentResult

ARRAYS = {
    "weights/a": np.arange(12, dtype=np.float32).reshape(3, 4),
    "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "steps": np.array(7),
    "none": np.zeros((0, 4)),
    "rows": np.zeros(2, [("hour", "i8"), ("usd", "f8")]),
}
RESULT = AgentResult(
    agent=1, iteration=2, source=None, hyperparameters={"gamma": 0.99}, steps=64, fitness=0.25, reward=None,
    metrics={"pnl_pct": 0.5, "trades": 3}, failure=None, log=({"train/loss": 0.5},),
)  # fmt: skip
RETURNS = np.linspace(-0.01, 0.01, 40)


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], strict=True)


# --- sealed JSON ---


def test_what_was_sealed_comes_back(tmp_path: Path) -> None:
    values = {"a": [1, 2.5, None, True], "b": {"c": "\u00e9\ud800"}, "tiny": 5e-324, "minus": -0.0}
    sealed.write_sealed(tmp_path / "x.json", values)
    assert repr(sealed.read_sealed(tmp_path / "x.json")) == repr(values)


def test_a_file_from_before_the_seal_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text('{"a": 1}')
    assert sealed.read_sealed(tmp_path / "old.json") == {"a": 1}


@given(where=st.integers(0, 10**6), value=st.integers(1, 255), line=st.booleans())
@limits(max_examples=300, deadline=None)
def test_a_byte_that_is_another_one_is_noticed(where: int, value: int, line: bool) -> None:
    indent = None if line else 2
    values = {"number": 1.5, "text": "plain", "list": [1, 2], "nan": float("nan")}
    content = bytearray(sealed.text_of(values, indent, allow_nan=True).encode())
    content[where % len(content)] ^= value
    with pytest.raises(sealed.SealError):
        sealed.parsed(bytes(content), indent)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is damaged: no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[1]", "it is not a JSON object"),
        ('{"format": 3}', "newer version"),
        ('{"format": 2}', "was altered"),
        ('{"format": 1, "checksum": "00"}', "was altered"),
        ('{"format": "2"}', "no number"),
        ('{"a": 1, "a": 2, "format": 2, "checksum": "x"}', "was altered"),
    ],
)
def test_what_is_not_whole_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(sealed.SealError, match=reason) as refused:
        sealed.parsed(text.encode())
    assert "\n" not in str(refused.value)


# --- arrays ---


def test_arrays_come_back_with_their_types_and_numpy_reads_them_too(tmp_path: Path) -> None:
    seal = write_arrays(tmp_path / "x.npz", ARRAYS)
    assert_same(read_arrays(tmp_path / "x.npz", seal), ARRAYS)
    with np.load(tmp_path / "x.npz") as archive:
        assert_same({name: archive[name] for name in archive.files}, ARRAYS)
    digits = write_array(tmp_path / "x.npy", RETURNS)
    np.testing.assert_array_equal(read_array(tmp_path / "x.npy", digits), RETURNS, strict=True)


def test_arrays_of_older_versions_are_read_unless_the_index_knows_better(tmp_path: Path) -> None:
    np.savez(tmp_path / "old.npz", **ARRAYS)
    assert_same(read_arrays(tmp_path / "old.npz"), ARRAYS)
    with pytest.raises(ValueError, match="was altered or cut"):
        read_arrays(tmp_path / "old.npz", "0" * 64)


@given(where=st.integers(0, 10**6), value=st.integers(1, 255), name=st.sampled_from(("x.npz", "x.npy")))
@limits(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_byte_of_an_array_that_is_another_one_is_noticed(tmp_path: Path, where: int, value: int, name: str) -> None:
    path = tmp_path / name
    digits = write_arrays(path, ARRAYS) if name == "x.npz" else write_array(path, RETURNS)
    content = bytearray(path.read_bytes())
    content[where % len(content)] ^= value
    path.write_bytes(content)
    with pytest.raises(ValueError, match="was altered"):
        read_arrays(path) if name == "x.npz" else read_array(path, digits)


def test_a_whole_file_in_the_place_of_another_is_noticed(tmp_path: Path) -> None:
    first, second = write_arrays(tmp_path / "a.npz", ARRAYS), write_arrays(tmp_path / "b.npz", {"a": RETURNS})
    assert first != second
    shutil.copyfile(tmp_path / "b.npz", tmp_path / "a.npz")
    with pytest.raises(ValueError, match="was altered"):
        read_arrays(tmp_path / "a.npz", first)


def claims(shape: str, content: bytes = b"", dtype: str = "<f8") -> bytes:
    """A ``.npy`` whose header claims a shape."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        claims("(1099511627776,)"),
        claims("(3,)", bytes(16)),
        claims("(2, 10000000000)", bytes(16)),
        claims("(1,)", bytes(8), dtype="|O"),
        b"\x93NUMPY\x07\x00" + bytes(20),
    ],
)
def test_arrays_that_claim_what_they_do_not_hold_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(ValueError):  # noqa: PT011  # each says in its own words that it is not whole
        read_array(tmp_path / "x.npy")
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x.npy", content)
    (tmp_path / "x.npz").write_bytes(archive.getvalue())
    with pytest.raises(ValueError):  # noqa: PT011  # as above
        read_arrays(tmp_path / "x.npz")


def test_compressed_arrays_are_refused_before_they_unfold(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", zeros=np.zeros(10**6))
    with pytest.raises(ValueError, match="compressed"):
        read_arrays(tmp_path / "bomb.npz")


def test_files_larger_than_they_can_rightly_be_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_arrays(tmp_path / "x.npz", ARRAYS)
    monkeypatch.setattr(array_files, "MOST_BYTES", 100)
    with pytest.raises(OSError, match="100 is the most"):
        read_arrays(tmp_path / "x.npz")


@pytest.mark.parametrize("what", ["pipe", "device", "folder"])
def test_what_is_no_regular_file_is_not_even_opened(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x"
    make: dict[str, Callable[[], object]] = {
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "folder": path.mkdir,
    }
    make[what]()
    with pytest.raises(OSError) as refused:  # noqa: PT011  # its strerror is what people are shown
        read_regular(path, 1000)
    assert refused.value.strerror == NOT_REGULAR


# --- the state of a population ---


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    state = StateFolder(tmp_path / "state")
    state.write(RESULT, ARRAYS, RETURNS)
    return state


def file_of(tmp_path: Path, suffix: str) -> Path:
    return tmp_path / "state" / "iteration_002" / f"agent_1.{suffix}"


def test_state_comes_back_and_knows_its_files(state: StateFolder) -> None:
    found = state.read(2, 1)
    assert found is not None
    assert found.checkpoint_sha256 is not None
    assert found.returns_sha256 is not None
    assert found.model_copy(update={"checkpoint_sha256": None, "returns_sha256": None}) == RESULT
    assert_same(state.checkpoint(2, 1), ARRAYS)
    np.testing.assert_array_equal(state.returns(2, 1), RETURNS)


@pytest.mark.parametrize("suffix", ["json", "npz", "npy"])
def test_an_altered_file_of_the_state_is_named(state: StateFolder, tmp_path: Path, suffix: str) -> None:
    path = file_of(tmp_path, suffix)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    read = {"json": state.read, "npz": state.checkpoint, "npy": state.returns}[suffix]
    with pytest.raises(DataError, match=rf"agent_1\.{suffix}") as refused:
        read(2, 1)
    assert "\n" not in str(refused.value)


def test_returns_of_another_agent_are_noticed(state: StateFolder, tmp_path: Path) -> None:
    write_array(file_of(tmp_path, "npy"), RETURNS[::-1].copy())
    with pytest.raises(DataError, match=r"agent_1\.npy: are no readable returns.*was altered"):
        state.returns(2, 1)


def test_state_of_an_older_version_is_read(state: StateFolder, tmp_path: Path) -> None:
    old = RESULT.model_dump(mode="json", exclude={"checkpoint_sha256", "returns_sha256", "model_sha256"})
    file_of(tmp_path, "json").write_text(json.dumps(old))
    np.savez(file_of(tmp_path, "npz"), **ARRAYS)
    assert state.read(2, 1) == RESULT
    assert_same(state.checkpoint(2, 1), ARRAYS)
