"""Tables as compact JSON for the scripts of the page."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

MOST_POINTS = 4500


def embedded(values: Mapping[str, Any]) -> Markup:
    """JSON that may stand inside a script element: no value can end it, whatever a strategy is called."""
    text = json.dumps(values, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def floats(values: Any) -> str:
    """32-bit floats, little endian, base64; nan is kept."""
    # JSON has no nan and spells every digit; four bytes are enough for a pixel.
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()


def thinned(rows: int) -> slice:
    """Every k-th hour, the last one among them, so that a long run stays small."""
    step = max(1, -(-rows // MOST_POINTS))
    # Counted from the end: the last hour is the result that the numbers beside the chart state.
    return slice((rows - 1) % step if rows else 0, None, step)


def clock(times: pd.DatetimeIndex) -> dict[str, Any]:
    """Evenly spaced hours as first stamp (ISO, UTC), step in hours and count; others as hours since 1970, ``at``."""
    stamps_ = [int(time.timestamp()) // 3600 for time in times]
    steps = set(np.diff(stamps_).tolist())
    if len(steps) > 1:
        return {"n": len(times), "at": stamps_}
    return {"n": len(times), "first": stamps_[0] if stamps_ else 0, "step": steps.pop() if steps else 1}


def rounded(values: pd.Series, places: int) -> list[float | None]:
    """Numbers as short as they are shown; None for nan."""
    return [None if np.isnan(value) else round(float(value), places) for value in values.to_numpy(np.float64)]


def coded(values: pd.Series) -> dict[str, Any]:
    """Words as a list of distinct ones and an index into it for each row."""
    codes, words = pd.factorize(values, sort=True)
    return {"words": [str(word) for word in words], "codes": [int(code) for code in codes]}


def stamps(values: pd.Series) -> list[int | None]:
    """Hours since 1970 (whole runs are hourly); None for NaT."""
    # The unit of times differs by file format and version of pandas, and so would the integers.
    seconds = values.dt.as_unit("s").astype("int64")
    return [None if missing else int(s) // 3600 for s, missing in zip(seconds, values.isna(), strict=True)]
