"""The pairs of an hour in the order in which they are shown, with their values: the same for every portfolio."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from engine.market.data import Ints
from engine.observation.spec import Float32s, ObservationSpec


class Ranked(NamedTuple):
    """Candidates of some hours; K is ``spec.candidates``. ``live`` is what version 2 needs of held pairs, else None."""

    pairs: Ints  # [hours, K], -1: fewer candidates
    values: Float32s  # [hours, K, width]
    live: Any


def blank_pairs(spec: ObservationSpec, hours: int, width: int) -> tuple[Ints, Float32s]:
    """No candidates in any hour."""
    return (
        np.full((hours, spec.candidates), -1, np.int64),
        np.zeros((hours, spec.candidates, width), np.float32),
    )
