"""The array cache: the same market, never half of one, never trusted when damaged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support_datasets import (
    assert_same_market,
    info_of,
    opportunity,
    prices_frame,
    small_market,
    window,
    write_frame,
    write_older,
)

from adapters.datasets import cache as array_cache
from adapters.datasets import load as loading
from adapters.datasets.load import load_dataset
from adapters.datasets.split import split_dataset
from adapters.datasets.windows import WindowEdges
from adapters.datasets.write import write_dataset
from adapters.storage import array_store
from adapters.storage.code_fingerprint import fingerprint_of_sources
from engine.windows import time_of


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("ARB_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    market = small_market(120)
    write_dataset(market, tmp_path / "stored", info_of(market, windows={"train": window(0, 50)}))
    return tmp_path / "stored"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders whose files were really read."""
    seen: list[Path] = []
    read = loading._read

    def watched(prices: Path, *rest: object) -> object:
        seen.append(prices)
        return read(prices, *rest)  # type: ignore[arg-type]  # only passed on

    monkeypatch.setattr(loading, "_read", watched)
    return seen


def entries(folder: Path) -> list[Path]:
    return sorted((folder / "datasets").iterdir())


def test_a_cached_market_equals_the_read_one(dataset: Path, reads: list[Path]) -> None:
    cold, cached = load_dataset(dataset), load_dataset(dataset)
    assert len(reads) == 1
    assert_same_market(cold.market, cached.market)
    assert (cold.fingerprint, cold.windows, cold.info) == (cached.fingerprint, cached.windows, cached.info)
    assert not cached.market.price.flags.writeable
    assert type(cached.market.price) is np.ndarray


def test_recorded_opportunities_and_notes_are_cached(tmp_path: Path, reads: list[Path]) -> None:
    path = write_older(tmp_path / "older", {"BTCUSDT": prices_frame().assign(extra=1)})
    rows = [opportunity("2024-05-01T02:00Z"), opportunity("2024-05-01T04:30Z")]
    write_frame(pd.DataFrame(rows), path / "opportunities.parquet")
    cold, cached = load_dataset(path), load_dataset(path)
    assert len(reads) == 1
    assert cold.notes == cached.notes == ("price history columns not used: extra",)
    one, two = cold.market.recorded, cached.market.recorded
    assert one is not None
    assert two is not None
    assert one.columns == two.columns
    for name in ("offsets", "pair", "features"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), strict=True)


def test_any_change_of_the_facts_is_another_fingerprint(dataset: Path, reads: list[Path]) -> None:
    first = load_dataset(dataset)
    coin = dataset / "price_history" / "BTCUSDT.parquet"
    frame = pd.read_parquet(coin)
    frame.loc[5, "bybit_price"] *= 1 + 1e-15
    frame.to_parquet(coin, index=False)
    second = load_dataset(dataset)
    coin.rename(coin.with_name("SOLUSDT.parquet"))
    third = load_dataset(dataset)
    assert len({first.fingerprint, second.fingerprint, third.fingerprint}) == 3
    assert len(reads) == 3
    assert third.market.symbols == ("ETHUSDT", "SOLUSDT")


def test_a_change_of_one_digit_or_of_a_name_alone_is_another_fingerprint(tmp_path: Path) -> None:
    path = write_older(tmp_path / "older", {"BTCUSDT": prices_frame()}, ".csv")
    coin = path / "price_history" / "BTCUSDT.csv"
    first = load_dataset(path)
    coin.write_text(coin.read_text().replace("103.0", "103.1", 1))
    second = load_dataset(path)
    assert second.market.price[0, 3] == 103.1
    coin.rename(coin.with_name("ETHUSDT.csv"))
    third = load_dataset(path)
    assert third.market.symbols == ("ETHUSDT",)
    assert len({first.fingerprint, second.fingerprint, third.fingerprint}) == 3


def test_new_windows_keep_fingerprint_and_cache(dataset: Path, reads: list[Path]) -> None:
    first = load_dataset(dataset)
    split_dataset(dataset, WindowEdges(train_to=time_of(int(first.market.hours[70]))))
    second = load_dataset(dataset)
    assert second.fingerprint == first.fingerprint
    assert second.windows != first.windows
    assert len(reads) == 1


def alter(path: Path, name: str, value: object) -> None:
    """Another value, or that many hours more, under the old checksum."""
    manifest = json.loads(path.read_text())
    manifest[name] = manifest[name] + value if isinstance(value, int) else value
    path.write_text(json.dumps(manifest, indent=2) + "\n")


def unsealed(path: Path) -> None:
    """The manifest as a version before the seal wrote it."""
    manifest = json.loads(path.read_text())
    del manifest["format"], manifest["checksum"]
    path.write_text(json.dumps(manifest))


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: flip_a_byte(entry / "price.npy"),
        lambda entry: (entry / "price.npy").write_bytes((entry / "price.npy").read_bytes()[:-100]),
        lambda entry: (entry / "price.npy").unlink(),
        lambda entry: (entry / "leg_symbol.npy").write_bytes(b""),
        lambda entry: np.save(entry / "price.npy", np.zeros((2, 2))),
        lambda entry: np.save(entry / "price.npy", np.array([{}], dtype=object), allow_pickle=True),
        lambda entry: (entry / "manifest.json").write_text('{"arrays": {}'),
        lambda entry: (entry / "manifest.json").write_text("[]"),
        lambda entry: (entry / "manifest.json").unlink(),
        lambda entry: alter(entry / "manifest.json", "first_hour", 24),
        lambda entry: alter(entry / "manifest.json", "hours", -1),
        lambda entry: alter(entry / "manifest.json", "symbols", ["ETHUSDT", "BTCUSDT"]),
        lambda entry: alter(entry / "manifest.json", "format", None),
        lambda entry: unsealed(entry / "manifest.json"),
    ],
)
def test_a_damaged_entry_is_rebuilt(
    dataset: Path, cache_folder: Path, reads: list[Path], damage: Callable[[Path], object]
) -> None:
    expected = load_dataset(dataset).market
    expected_price = expected.price.copy()
    (entry,) = entries(cache_folder)
    damage(entry)
    again = load_dataset(dataset).market
    assert len(reads) == 2
    np.testing.assert_array_equal(again.price, expected_price)
    load_dataset(dataset)
    assert len(reads) == 2
    assert entries(cache_folder) == [entry]


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: (entry / "price.npy").unlink() or (entry / "price.npy").symlink_to("/dev/zero"),
        lambda entry: (entry / "manifest.json").unlink() or os.mkfifo(entry / "manifest.json"),
    ],
)
def test_an_entry_with_what_we_never_write_is_passed_over_and_stays(
    dataset: Path, cache_folder: Path, reads: list[Path], damage: Callable[[Path], object]
) -> None:
    expected = load_dataset(dataset).market.price.copy()
    (entry,) = entries(cache_folder)
    damage(entry)
    names = sorted(path.name for path in entry.iterdir())
    np.testing.assert_array_equal(load_dataset(dataset).market.price, expected)
    assert len(reads) == 2
    assert sorted(path.name for path in entry.iterdir()) == names


def test_an_entry_in_the_place_of_another_is_not_taken(dataset: Path, cache_folder: Path, reads: list[Path]) -> None:
    expected = load_dataset(dataset).market.price.copy()
    (entry,) = entries(cache_folder)
    array_cache.store("0" * 32, small_market(30), ())
    other = next(path for path in entries(cache_folder) if path != entry)
    shutil.rmtree(entry)
    shutil.copytree(other, entry)
    np.testing.assert_array_equal(load_dataset(dataset).market.price, expected)
    assert len(reads) == 2


def test_a_market_that_other_code_has_read_is_read_again(
    dataset: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_dataset(dataset)
    monkeypatch.setattr(array_cache, "code_fingerprint", lambda *_: "other code")
    load_dataset(dataset)
    assert len(reads) == 2


@pytest.mark.parametrize("what", ["device", "pipe"])
def test_a_coin_that_is_no_regular_file_is_refused_at_once(dataset: Path, what: str) -> None:
    coin = dataset / "price_history" / "ETHUSDT.parquet"
    coin.unlink()
    os.mkfifo(coin) if what == "pipe" else coin.symlink_to("/dev/zero")
    with pytest.raises(loading.DataError, match=r"ETHUSDT\.parquet: cannot be read: it is no regular file"):
        load_dataset(dataset)


def test_the_fingerprint_of_code_knows_every_source_file(tmp_path: Path) -> None:
    for name, text in {"a.py": "x = 1", "inner/b.py": "y = 2", "notes.txt": "z"}.items():
        (tmp_path / "part" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "part" / name).write_text(text)
    first = fingerprint_of_sources(tmp_path / "part")
    (tmp_path / "part" / "notes.txt").write_text("other")
    assert fingerprint_of_sources(tmp_path / "part") == first
    found = {first}
    for change in (
        lambda: (tmp_path / "part" / "inner" / "b.py").write_text("y = 3"),
        lambda: (tmp_path / "part" / "a.py").rename(tmp_path / "part" / "c.py"),
        lambda: (tmp_path / "part" / "d.py").write_text(""),
    ):
        change()
        found.add(fingerprint_of_sources(tmp_path / "part"))
    assert len(found) == 4
    with pytest.raises(FileNotFoundError):
        fingerprint_of_sources(tmp_path / "nothing")


def test_an_entry_of_an_interrupted_writer_is_never_seen(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(array_store.sealed, "text_of", stop)
    with pytest.raises(KeyboardInterrupt):
        array_cache.store("0" * 32, small_market(), ())
    assert entries(cache_folder) == []


def test_a_cache_that_cannot_be_written_is_no_error(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ARB_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert_same_market(load_dataset(dataset).market, load_dataset(dataset, cache=False).market)


def test_concurrent_first_loads_all_get_the_whole_market(dataset: Path, cache_folder: Path) -> None:
    expected = load_dataset(dataset, cache=False).market
    with ThreadPoolExecutor(8) as pool:
        markets = [f.result().market for f in [pool.submit(load_dataset, dataset) for _ in range(24)]]
    for market in markets:
        assert_same_market(market, expected)
    assert len(entries(cache_folder)) == 1


def test_only_the_entries_used_last_are_kept(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_cache, "ENTRIES_KEPT", 3)
    market = small_market()
    for number in range(3):
        array_cache.store(f"{number:032}", market, ())
        (manifest,) = cache_folder.glob(f"datasets/{number:032}-*/manifest.json")
        past = time.time() - 1000 + number
        array_store.os.utime(manifest, (past, past))
    assert array_cache.load(f"{0:032}") is not None
    array_cache.store(f"{3:032}", market, ())
    assert [entry.name[31] for entry in entries(cache_folder)] == ["0", "2", "3"]


def test_the_cache_stands_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert array_store.cache_root() == tmp_path / "cache"
    monkeypatch.delenv("ARB_CACHE_DIR")
    assert array_store.cache_root() == tmp_path / "xdg" / "arb"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert array_store.cache_root() == tmp_path / ".cache" / "arb"


def test_a_cached_start_imports_neither_pandas_nor_pyarrow(dataset: Path) -> None:
    load_dataset(dataset)
    program = (
        "import sys, pathlib; from adapters.datasets.load import load_dataset; "
        f"load_dataset(pathlib.Path({str(dataset)!r})); "
        "print([name for name in ('pandas', 'pyarrow', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_files_that_change_while_they_are_read_are_refused(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = loading._read

    def disturbed(prices: Path, *rest: object) -> object:
        kept = read(prices, *rest)  # type: ignore[arg-type]  # only passed on
        (prices / "ETHUSDT.parquet").unlink()
        return kept

    monkeypatch.setattr(loading, "_read", disturbed)
    with pytest.raises(loading.DataError, match="changed while it was being read"):
        load_dataset(dataset)
