"""Compiled functions: the cache on disk notices what numba's own does not."""

from __future__ import annotations

from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
import pytest
from numba import njit, typeof

from engine.accounting.hour import advance, next_hour
from engine.compiled import _type_of, bind, compiled, fingerprint, hourly
from rl_training.environments.stepping import step

FACTOR = 2.0


@njit
def inner(x: float) -> float:
    return x + 1.0


@njit
def outer(x: float) -> float:
    return FACTOR * inner(x)


def with_globals(function: Any, **changes: Any) -> Any:
    """The same compiled function, seeing other globals."""
    python: FunctionType = function.py_func
    return njit(FunctionType(python.__code__, python.__globals__ | changes, python.__name__))


@njit
def other_inner(x: float) -> float:
    return x + 2.0


def test_fingerprint_knows_what_is_called_and_which_constants_are_used() -> None:
    assert fingerprint(outer) == fingerprint(with_globals(outer))
    assert fingerprint(outer) != fingerprint(with_globals(outer, inner=other_inner))
    assert fingerprint(outer) != fingerprint(with_globals(outer, FACTOR=3.0))
    assert fingerprint(outer) == fingerprint(with_globals(outer, unrelated=3.0))


class Sum(NamedTuple):
    amount: float
    fee: float


class TurnedSum(NamedTuple):
    fee: float
    amount: float


@njit
def after_fee(x: float) -> float:
    both = Sum(x, 1.0)
    return both.amount - both.fee


def test_fingerprint_knows_the_order_of_fields_of_records_that_are_made() -> None:
    """Without it code from before the fields changed places would be loaded, and a fee be taken for an amount."""
    assert fingerprint(after_fee) == fingerprint(with_globals(after_fee))
    assert fingerprint(after_fee) != fingerprint(with_globals(after_fee, Sum=TurnedSum))


def test_fingerprint_looks_through_files() -> None:
    """The step of the environments, in another package, contains the kernel's funding."""
    changed = with_globals(next_hour, open_hour=with_globals(next_hour.py_func.__globals__["open_hour"], settle=inner))
    assert fingerprint(step) != fingerprint(with_globals(step, next_hour=changed))


def test_numba_keeps_the_stamp_where_we_write_it() -> None:
    """Fails when a release of numba moves the private attribute: then stale machine code would be loaded."""
    for decorate, way in ((compiled, "compiled"), (hourly, "hourly")):
        made = decorate(inner.py_func)
        assert made._cache._cache_file._source_stamp == (way, fingerprint(made))


def test_bound_code_is_the_function() -> None:
    values = np.arange(4.0)
    add = compiled(_add_one)
    bind(add, values)(values)
    np.testing.assert_array_equal(values, [1.0, 2.0, 3.0, 4.0])


class Pair(NamedTuple):
    left: Any
    right: Any


def test_types_that_are_kept_are_those_of_numba() -> None:
    """Arrays that differ in anything that machine code depends on, one after the other, and again."""
    flat, frozen, turned = np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((3, 2)).T
    frozen.flags.writeable = False
    fields = [("a", np.int8), ("b", np.float64)]
    records = [np.zeros(2, fields), np.zeros(2, np.dtype(fields, align=True)), np.zeros(2, fields[::-1])]
    values = [flat, frozen, turned, np.zeros((4, 6))[::2, ::2], np.zeros(3), np.zeros(3, np.int64), *records, 1, 2.0]
    values += [Pair(records[0], (flat, 1)), Pair(flat, flat), (records[0], 2)]
    for value in (*values, *values):
        assert _type_of(value) == typeof(value)


def _add_one(values: Any) -> None:
    for i in range(values.shape[0]):
        values[i] += 1.0


@pytest.mark.parametrize("function", [advance, step])
def test_hot_functions_are_kept_on_disk(function: Any) -> None:
    assert function._cache._cache_path


def _uses_what_comes_later(x: float) -> float:
    return defined_later(x)  # type: ignore[no-any-return, name-defined]  # noqa: F821  # that is the point


def test_what_is_not_yet_defined_cannot_be_part_of_the_key_and_is_refused() -> None:
    """Machine code of what changed further down in a file would be loaded from before the change."""
    with pytest.raises(NameError, match="defined_later: define it before _uses_what_comes_later"):
        hourly(_uses_what_comes_later)
