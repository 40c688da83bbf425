"""Dense layers on plain arrays, row by row: all arithmetic of a policy that plays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled

Float32Matrix = NDArray[np.float32]
"""``[rows, values]``, or weights ``[inputs, outputs]``."""


@compiled
def dense(rows: Float32Matrix, weights: Float32Matrix, first: Float32Matrix) -> Float32Matrix:
    """``first + rows @ weights`` ``[rows, outputs]``; ``first`` has a row for each, or one for all.

    It is summed input by input, so that the order of additions never varies, whatever rows stand beside.
    """
    out = np.empty((rows.shape[0], weights.shape[1]), np.float32)
    # Not ``@``: the order of its additions depends on machine and batch, and nearly equal logits would swap places.
    for r in range(rows.shape[0]):
        out[r] = first[r if first.shape[0] > 1 else 0]
        for i in range(weights.shape[0]):
            value = rows[r, i]
            for j in range(weights.shape[1]):
                out[r, j] += value * weights[i, j]
    return out
