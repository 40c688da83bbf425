"""Keeping the memory of a process small and flat that runs for weeks."""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import Any

import ccxt
import ccxt.async_support

from adapters.exchanges.quirks import QUIRKS

M_MMAP_THRESHOLD = -3
LARGE_BYTES = 128 * 1024
PACKAGES = ("ccxt", "ccxt.async_support", "ccxt.abstract")


def slim_down() -> None:
    """Once, before the first hour: forget what is never used, and return what is freed."""
    _return_large_blocks()
    _forget_other_exchanges()
    return_free_memory()


def return_free_memory() -> None:
    """Give holes in the heap back to the system, after something large has come and gone."""
    gc.collect()
    _call("malloc_trim", 0)


def _return_large_blocks() -> None:
    # glibc raises the size from which it returns freed blocks with every large array that is freed, and then keeps
    # tens of MB of holes into which the arrays of the next hour fit only sometimes.
    _call("mallopt", M_MMAP_THRESHOLD, LARGE_BYTES)


def _forget_other_exchanges() -> None:
    """ccxt loads a hundred exchanges, each twice; those that arb has no adapter for make room for other things."""
    classes = [getattr(ccxt.async_support, name) for name in QUIRKS]
    keep = {base.__name__ for found in classes for base in found.__mro__}
    for package in PACKAGES:
        loaded: Any = sys.modules.get(package)
        for name in set(ccxt.exchanges) - keep:
            sys.modules.pop(f"{package}.{name}", None)
            if hasattr(loaded, name):
                delattr(loaded, name)


def _call(name: str, *arguments: int) -> None:
    """A function of the C library, where it has it."""
    if sys.platform == "linux":
        function = getattr(ctypes.CDLL(None), name, None)
        if function is not None:
            function(*arguments)
