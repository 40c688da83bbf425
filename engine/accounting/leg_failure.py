"""Random failures of single legs: drawn from the leg, the hour and the side alone, so that every replay fails alike.

A draw is a number of the splitmix64 sequence that begins at the leg's key, counted by hour, side and way; no state is
kept. Two positions that trade the same side of a leg in the same hour fail together, as on an exchange that is down.
"""

from __future__ import annotations

import numpy as np

from engine.accounting.tape import TapeArrays
from engine.compiled import hourly

OPENING, CLOSING = 0, 1
STEP = np.uint64(0x9E3779B97F4A7C15)
FIRST_FACTOR, SECOND_FACTOR = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
FIRST_SHIFT, SECOND_SHIFT, LAST_SHIFT, SPARE_BITS = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
ONE = np.uint64(1)


@hourly
def leg_fails(tape: TapeArrays, leg: int, t: int, side: int, way: int) -> bool:
    """Whether an ordered fill of a leg fails at row t; ``way``: OPENING or CLOSING."""
    one = tape.legs[leg]
    # The number of the hour, not its row: a window that begins later fails at the same times.
    count = np.uint64(4 * (one.first_hour + t) + 2 * side + way)
    x = one.key + (count + ONE) * STEP
    x = (x ^ (x >> FIRST_SHIFT)) * FIRST_FACTOR
    x = (x ^ (x >> SECOND_SHIFT)) * SECOND_FACTOR
    x = x ^ (x >> LAST_SHIFT)
    # 53 bits are what a float holds exactly: a number in [0, 1), and probability 0 never fails.
    return bool(np.float64(x >> SPARE_BITS) * 2.0**-53 < tape.rules[0].leg_failure)
