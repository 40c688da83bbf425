"""Keeping the memory of a process small and flat that runs for weeks."""

from __future__ import annotations

import ctypes
import gc
import sys

M_MMAP_THRESHOLD = -3
LARGE_BYTES = 128 * 1024


def slim_down() -> None:
    """Once, before the first hour: see to it that freed memory goes back to the system."""
    _return_large_blocks()
    return_free_memory()


def return_free_memory() -> None:
    """Give holes in the heap back to the system, after something large has come and gone."""
    gc.collect()
    _call("malloc_trim", 0)


def _return_large_blocks() -> None:
    # glibc raises the size from which it returns freed blocks with every large array that is freed, and then keeps
    # tens of MB of holes into which the arrays of the next hour fit only sometimes.
    _call("mallopt", M_MMAP_THRESHOLD, LARGE_BYTES)


def _call(name: str, *arguments: int) -> None:
    """A function of the C library, where it has it."""
    if sys.platform == "linux":
        function = getattr(ctypes.CDLL(None), name, None)
        if function is not None:
            function(*arguments)
