"""The state of numpy generators as plain arrays, so that checkpoints need no pickle."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def pack_generator(rng: np.random.Generator) -> NDArray[np.uint64]:
    """State of a PCG64 generator as six numbers."""
    state: Any = rng.bit_generator.state
    # State and increment of PCG64 have 128 bits each, more than an array's numbers.
    words = [half for key in ("state", "inc") for half in divmod(state["state"][key], 1 << 64)]
    return np.array([*words, state["has_uint32"], state["uinteger"]], np.uint64)


def unpack_generator(packed: NDArray[Any]) -> np.random.Generator:
    """The generator of ``pack_generator``."""
    words = [int(word) for word in packed]
    bits = np.random.PCG64()
    bits.state = {
        "bit_generator": "PCG64",
        "state": {"state": words[0] << 64 | words[1], "inc": words[2] << 64 | words[3]},
        "has_uint32": words[4],
        "uinteger": words[5],
    }
    return np.random.Generator(bits)
