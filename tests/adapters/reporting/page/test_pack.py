"""What the scripts of the page get: short, exact where it matters, and harmless."""

from __future__ import annotations

import base64
import json

import numpy as np
import pandas as pd
import pytest

from adapters.reporting.page.pack import MOST_POINTS, clock, coded, embedded, floats, rounded, stamps, thinned


@pytest.mark.parametrize("rows", [0, 1, 2, 1440, MOST_POINTS, MOST_POINTS + 1, 8760, 8761, 20_001])
def test_a_thinned_run_is_short_and_keeps_its_last_hour(rows: int) -> None:
    kept = np.arange(rows)[thinned(rows)]
    assert len(kept) <= MOST_POINTS
    if rows:
        assert kept[-1] == rows - 1
        assert len(set(np.diff(kept))) <= 1
    if rows <= MOST_POINTS:
        assert len(kept) == rows


def test_hours_are_a_clock_or_a_list_where_some_are_missing() -> None:
    times = pd.date_range("1970-01-02", periods=4, freq="2h", tz="UTC")
    assert clock(times) == {"n": 4, "first": 24, "step": 2}
    assert clock(times.delete(1)) == {"n": 3, "at": [24, 28, 30]}
    assert clock(times[:1]) == {"n": 1, "first": 24, "step": 1}
    assert clock(times[:0]) == {"n": 0, "first": 0, "step": 1}


def test_numbers_and_words_come_back() -> None:
    values = [1.5, -2.25, float("nan")]
    back = np.frombuffer(base64.b64decode(floats(values)), "<f4")
    assert back[:2].tolist() == values[:2]
    assert np.isnan(back[2])
    assert rounded(pd.Series([1.239, float("nan")]), 2) == [1.24, None]
    packed = coded(pd.Series(["b", "a", "b"]))
    assert [packed["words"][code] for code in packed["codes"]] == ["b", "a", "b"]
    times = pd.Series(pd.to_datetime(["1970-01-01T03:00Z", None], utc=True))
    assert stamps(times) == [3, None]


def test_nothing_in_the_data_can_end_its_script() -> None:
    values = {"name": "</script><!--\u2028&"}
    text = str(embedded(values))
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == values
    with pytest.raises(ValueError, match="JSON"):
        embedded({"x": float("nan")})
