"""Arrays in one mapped file: the same values, kinds and shapes, each array aligned, the file untouched by writers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adapters.storage.mapped_arrays import ALIGNED_BYTES, read_mapped, write_mapped
from engine.accounting.tape import QUOTE

KINDS = st.sampled_from(["f8", "f4", "i8", "i4", "u1", "?"])
SOME = st.lists(KINDS.flatmap(lambda kind: arrays(np.dtype(kind), st.tuples(st.integers(0, 3), st.integers(1, 4)))))


def there_and_back(path: Path, given_arrays: dict[str, Any]) -> dict[str, Any]:
    layout = json.loads(json.dumps(write_mapped(path, given_arrays)))
    return read_mapped(path, layout, {"quotes": QUOTE})


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=SOME)
def test_what_was_written_is_read_whatever_its_kind_and_shape(values: list[Any], tmp_path: Path) -> None:
    wanted = {f"array {k}": value for k, value in enumerate([np.arange(3), *values])}
    found = there_and_back(tmp_path / "arrays.bin", wanted)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, strict=True)
        assert found[name].flags.c_contiguous
        assert found[name].ctypes.data % ALIGNED_BYTES == 0 or not found[name].size


def test_records_come_back_with_their_own_kind_and_can_be_written_without_changing_the_file(tmp_path: Path) -> None:
    path, quotes = tmp_path / "arrays.bin", np.zeros((3, 2), QUOTE)
    quotes["fee_rate"] = np.arange(6).reshape(3, 2)
    found = there_and_back(path, {"quotes": quotes, "transposed": np.arange(6.0).reshape(2, 3).T})
    assert (found["quotes"].dtype, found["quotes"].flags.aligned) == (QUOTE, True)
    assert found["quotes"].tobytes() == quotes.tobytes()
    np.testing.assert_array_equal(found["transposed"], [[0, 3], [1, 4], [2, 5]])
    before = path.read_bytes()
    found["transposed"][0, 0] = 9.0
    assert found["transposed"][0, 0] == 9.0
    assert path.read_bytes() == before
