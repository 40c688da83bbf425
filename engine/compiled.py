"""How compiled functions of arb are made, kept and called.

``compiled`` is numba's ``njit`` with a cache that can be trusted: numba keeps machine code until the file of the
function changes, though the code of what it calls, from other files, is part of it. Here the cache also knows those.
``hourly`` is for what runs every hour of every portfolio: half of its time went into counting references to the
arrays of tape and books, and half of the rest into passing them from function to function.
"""

from __future__ import annotations

import builtins
import dis
import hashlib
from collections.abc import Callable
from functools import cache
from types import CodeType, FunctionType
from typing import Any

import numpy as np
from numba import njit, typeof, types
from numba.core.dispatcher import Dispatcher

_HOURLY: dict[str, Any] = {"cache": True, "_nrt": False, "forceinline": True}
_SELDOM: dict[str, Any] = {"cache": True, "_nrt": False}
_ARRAYS: dict[tuple[Any, ...], Any] = {}
"""numba's types of arrays by all that they depend on."""
_CONSTANTS = (bool, int, float, str, tuple, type(None), np.generic, np.dtype)


def compiled(function: Callable[..., Any]) -> Any:
    """``njit`` with a cache on disk that notices changes of the functions and constants that the function uses."""
    return _trust_cache(njit(cache=True)(function), "compiled")


def hourly(function: Callable[..., Any]) -> Any:
    """Like ``compiled``, inlined and without reference counts, for functions that make no array (views are fine)."""
    return _trust_cache(njit(**_HOURLY)(function), "hourly")


def seldom(function: Callable[..., Any]) -> Any:
    """Like ``hourly`` but not inlined: for what most runs never come to, so that it does not crowd what they do."""
    return _trust_cache(njit(**_SELDOM)(function), "seldom")


def bind(function: Any, *arguments: Any) -> Callable[..., Any]:
    """The machine code of a compiled function for arguments of exactly these types and layouts.

    Calling it leaves out the search for the code that fits, which takes longer than an hour of a portfolio. Nothing
    is checked: it must be called with arrays of the same dtype, dimensions and contiguity.
    """
    code: Callable[..., Any] = function.compile(tuple(_type_of(argument) for argument in arguments))
    return code


def _type_of(value: Any) -> Any:
    """numba's type of a value. For an array of records numba looks through all fields each time; here it is kept."""
    if isinstance(value, tuple):
        parts = [_type_of(part) for part in value]
        return types.BaseTuple.from_types(parts, type(value))  # type: ignore[no-untyped-call]  # numba's own
    if type(value) is not np.ndarray:
        return typeof(value)  # type: ignore[no-untyped-call]  # numba's own
    flags, dtype = value.flags, value.dtype
    key = dtype, dtype.isalignedstruct, value.ndim, flags.c_contiguous, flags.f_contiguous, flags.writeable
    if key not in _ARRAYS:
        _ARRAYS[key] = typeof(value)  # type: ignore[no-untyped-call]  # numba's own
    return _ARRAYS[key]


def fingerprint(function: Any) -> str:
    """Changes with the code of a function, of the compiled functions it calls, with constants and records they use.

    Names are followed one by one: import compiled functions by name, not the module that they stand in.
    """
    digest = hashlib.sha256()
    for part in _parts(function.py_func, set()):
        digest.update(part.encode())
    return digest.hexdigest()


def _parts(function: FunctionType, seen: set[FunctionType]) -> list[str]:
    """Everything that a function is made of, depth first, each function once."""
    if function in seen:
        return []
    seen.add(function)
    _refuse_later_names(function)
    parts: list[str] = []
    for code in _codes(function.__code__):
        # Bytecode and names instead of source text: other comments or spaces are no other code.
        parts += [code.co_code.hex(), repr((code.co_names, code.co_varnames))]
        parts += [repr(value) for value in code.co_consts if not isinstance(value, CodeType)]
        for name in code.co_names:
            value = function.__globals__.get(name)
            if isinstance(value, Dispatcher):
                parts += _parts(value.py_func, seen)
            elif isinstance(value, _CONSTANTS):
                parts.append(f"{name}={value!r}")
            elif hasattr(value, "_fields"):  # a NamedTuple that is made here: its fields go by their order
                parts.append(f"{name}={value._fields!r}")
    return parts


@cache
def _refuse_later_names(function: FunctionType) -> None:
    """What is defined further down is not known yet and would be missing from the cache's key.

    Looked at once: a function that many others use would cost every start of a program a tenth of its time.
    """
    for code in _codes(function.__code__):
        for step in dis.get_instructions(code):
            known = step.argval in function.__globals__ or hasattr(builtins, str(step.argval))
            if step.opname == "LOAD_GLOBAL" and not known:
                raise NameError(f"{function.__name__} uses {step.argval}: define it before {function.__name__}")


def _codes(code: CodeType) -> list[CodeType]:
    """A function's code and that of the comprehensions in it."""
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return [code, *(deeper for constant in inner for deeper in _codes(constant))]


def _trust_cache(dispatcher: Any, way: str) -> Any:
    # numba has no public place for this; test_compiled.py fails if the private one ever moves.
    dispatcher._cache._cache_file._source_stamp = (way, fingerprint(dispatcher))
    return dispatcher
