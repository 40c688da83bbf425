"""How the functions that run every hour of every portfolio are compiled and called.

Half of the time of such a function went into counting references to the arrays of tape and books, and most of the
time of a call from Python into looking up which machine code fits the arguments. Both are left out here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit, typeof


def hourly(function: Callable[..., Any]) -> Any:
    """``njit`` without reference counts, for functions that make no array (a view of one is fine)."""
    return njit(cache=True, _nrt=False)(function)


def bind(function: Any, *arguments: Any) -> Callable[..., Any]:
    """The machine code of a compiled function for arguments of exactly these types and layouts.

    The result does not check that: it must be called with arrays of the same dtype, dimensions and contiguity.
    """
    code: Callable[..., Any] = function.compile(tuple(typeof(argument) for argument in arguments))
    return code
