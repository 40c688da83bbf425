"""Numbers, times and lines of text tables: read to the last digit, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.importing.json_rows import number_of
from adapters.importing.recordings import NotUsedError
from adapters.importing.source_files import Source, files_in, opened
from adapters.importing.text_tables import floats_of_text, read_text_table, times_of_numbers, times_of_text
from adapters.storage.time_columns import EMPTY
from engine.errors import DataError


def table(text: str, *without_head: tuple[str, ...]):  # type: ignore[no-untyped-def]  # a TextTable
    return read_text_table(Source(Path("x.csv"), text.encode()), without_head)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_are_read_to_the_last_digit(values: list[float]) -> None:
    assert floats_of_text(pa.array([repr(each) for each in values])).tolist() == values
    assert [number_of(repr(each)) for each in values] == values


@given(st.integers(-(10**9), 10**9), st.integers(0, 9))
def test_a_shifted_number_is_the_nearest_to_what_is_written(digits: int, places: int) -> None:
    assert floats_of_text(pa.array([f"{digits}e-{places}"]), -2).tolist() == [float(f"{digits}e-{places + 2}")]


@pytest.mark.parametrize(
    "text", ["", "x", "nan", "inf", "-inf", "1_0", "0x10", "1,5", "\uff11", "1e999", "--1", "1.2.3", "true"]
)
def test_what_is_no_number_is_none(text: str) -> None:
    assert np.isnan(floats_of_text(pa.array([text, "1"]))).tolist() == [True, False]
    assert np.isnan(number_of(text))


@given(st.integers(1_262_304_000_000, 4_102_444_799_999))
def test_the_unit_of_a_time_is_certain(time: int) -> None:
    for unit, factor in (("s", 1e-3), ("ms", 1), ("us", 1000)):
        assert abs(times_of_numbers(np.array([time * factor]), ["s", "ms", "us"])[0] - time) <= 1, unit


def test_a_time_in_a_unit_that_is_not_allowed_is_not_read_in_it() -> None:
    assert times_of_numbers(np.array([1.7e15, np.nan, 1e300, -1e300]), ["ms"]).tolist() == [
        1_700_000_000_000_000, EMPTY, 9_000_000_000_000_000_000, -9_000_000_000_000_000_000,
    ]  # fmt: skip


def test_local_times_are_those_of_their_zone() -> None:
    written = pa.array(["2024.05.01 03:00", "2024.05.01", "x"])
    times, unclear = times_of_text(written, "%Y.%m.%d %H:%M", "Etc/GMT-3")
    assert (times.tolist(), unclear) == ([1_714_521_600_000, EMPTY, EMPTY], 0)
    mixed = pa.array(["2024-05-01T02:00:00+02:00", "2024-05-01T00:00:00Z", "2024-04-30T20:00", "", "2024-02-30T00:00Z"])
    times, _ = times_of_text(mixed, "ISO8601", "America/New_York")
    assert times.tolist() == [1_714_521_600_000] * 3 + [EMPTY] * 2
    with pytest.raises(ValueError, match="bad directive"):
        times_of_text(written, "%Q", "UTC")


def test_a_head_is_told_from_rows() -> None:
    names = ("a", "b")
    assert table("1,2\n3,4\n", names).numbers("b").tolist() == [2.0, 4.0]
    assert table("B,A\n3,4\n", names).numbers("b").tolist() == [3.0]
    with pytest.raises(DataError, match="has no head, and 3 columns are none that are known"):
        table("1,2,3\n", names)
    with pytest.raises(NotUsedError, match="a table without a head"):
        table("1,2\n")


@pytest.mark.parametrize(
    ("text", "rows", "remarks"),
    [
        ("a,b\n1,2\n3,4\n", 2, 0),
        ("a,b\r\n1,2\r\n3,4\r\n\r\n", 2, 0),
        ("a,b\n1,2\n3,4", 1, 1),
        ("a,b\n1,2\n3\n5,6\n", 2, 1),
        ("a,b\n1,2\n\n5,6\n", 3, 0),  # a row of nothing, which its empty time takes out
        ("a,b\n1,2,3\n5,6\n7", 1, 2),
    ],
)
def test_lines_that_are_not_whole_are_left_out_and_said(text: str, rows: int, remarks: int) -> None:
    found = table(text)
    assert len(found.numbers("a")) == rows
    assert len(found.remarks) == remarks


@pytest.mark.parametrize("text", ["a,a\n1,2\n", "a,b", "a,b\n", "\0\0\0\n", "a,b\n1,2\0\n", '"\n'])
def test_what_is_no_table_is_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"x\.csv"):
        table(text)


def test_files_are_regular_and_whole(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.csv").write_text("x")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert files_in(tmp_path) == [tmp_path / "a" / "b.csv"]
    (tmp_path / "device").symlink_to("/dev/zero")
    with pytest.raises(DataError, match="it is no regular file"):
        list(opened(tmp_path / "device"))
    (tmp_path / "empty.csv").write_text("\n")
    with pytest.raises(DataError, match="the file is empty"):
        list(opened(tmp_path / "empty.csv"))


def test_of_ticks_every_line_counts() -> None:
    times = np.array([1_714_521_600_000, 1_714_521_601_000])
    table("t,p\n1,2\n3,4\n").require_whole(times)
    with pytest.raises(DataError, match=r"the last line has no end .*: of ticks every line counts"):
        table("t,p\n1,2\n3,4").require_whole(times[:1])
    with pytest.raises(DataError, match=r"row 2 has no time that can be \(1 such rows\)"):
        table("t,p\n1,2\n3,4\n").require_whole(np.array([times[0], 5]))
