"""Feature tables come back from the cache as they were built, and only where they belong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from market_strategies import random_market, random_settings

from adapters.datasets import feature_cache
from adapters.datasets.feature_cache import feature_tables
from engine.accounting.tape import Tape, prepare
from engine.observation.features import Tables, build_tables

FINGERPRINT = "f" * 32


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARB_CACHE_DIR", str(tmp_path))
    return tmp_path / "features"


def some_tape(**changes: object) -> Tape:
    rng = np.random.default_rng(2)
    market = random_market(rng, coins=2, exchanges=3, hours=60)
    return prepare(market, random_settings(rng).model_copy(update=changes))


def assert_same(one: Tables, two: Tables) -> None:
    for name, array in one._asdict().items():
        np.testing.assert_array_equal(array, getattr(two, name), err_msg=name)


def test_tables_come_back_without_being_built_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tape = some_tape()
    built = feature_tables(FINGERPRINT, tape)
    assert_same(built, build_tables(tape))
    monkeypatch.delattr(feature_cache, "build_tables")
    assert_same(built, feature_tables(FINGERPRINT, tape))
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("change", [{"cost_multiple": 2.5}, {"max_stale_hours": 40}])
def test_settings_that_reach_a_feature_give_another_entry(cache: Path, change: dict[str, object]) -> None:
    tape = some_tape()
    feature_tables(FINGERPRINT, tape)
    changed = Tape(tape.market, tape.settings.model_copy(update=change), *(getattr(tape, n) for n in
        ("pairs", "settlements", "arrays", "before")))  # fmt: skip
    feature_tables(FINGERPRINT, changed)
    feature_tables("e" * 32, tape)
    assert len(list(cache.iterdir())) == 3


def test_other_code_builds_its_own_tables(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tape = some_tape()
    feature_tables(FINGERPRINT, tape)
    monkeypatch.setattr(feature_cache, "code_fingerprint", lambda *_: "a changed formula")
    built = Tables(*(np.full_like(array, 7.0) for array in build_tables(tape)))
    monkeypatch.setattr(feature_cache, "build_tables", lambda _: built)
    assert feature_tables(FINGERPRINT, tape) is built
    assert len(list(cache.iterdir())) == 2


def test_a_damaged_entry_is_built_again(cache: Path) -> None:
    tape = some_tape()
    built = feature_tables(FINGERPRINT, tape)
    copy = {name: array.copy() for name, array in built._asdict().items()}
    file = next(cache.glob("*/spread.npy"))
    content = bytearray(file.read_bytes())
    content[-3] ^= 0xFF
    file.write_bytes(content)
    assert_same(Tables(**copy), feature_tables(FINGERPRINT, tape))
