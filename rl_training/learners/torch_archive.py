"""Tensors of a file of ``torch.save``, read without torch and without unpickling anything.

The pickle inside such an archive is read as a list of steps, of which only those are known that a state dict takes:
whatever else it asks for, be it a call or an object of many gigabytes, is refused. A tensor takes what is stored for
it and no more, so that nothing can be larger than the file.
"""

from __future__ import annotations

import math
import pickletools
import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_BYTES = 256 * 2**20
"""Of a state dict: hundreds of times what a policy of arb has."""
MOST_STEPS_BYTES = 2**20
"""Of the pickle, which names the tensors but does not hold them."""
POLICY = "policy.pth"
TYPES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4"}

Arrays = dict[str, npt.NDArray[Any]]
_TOO_MUCH = "a tensor takes more than is stored for it"
_MARK, _DICT, _TENSOR = object(), object(), object()


def policy_arrays(zip_file: Any) -> Arrays:
    """The state dict of the policy in a stable-baselines3 zip (a path or an open file), as new arrays by name.

    Raises ``ValueError`` for anything else, and what ``zipfile`` raises for what is no zip.
    """
    with zipfile.ZipFile(zip_file) as outer:
        content = _member(outer, POLICY, MOST_BYTES)
    with zipfile.ZipFile(BytesIO(content)) as archive:
        # torch stores without compression: members that claim more than the archive's own length are a bomb.
        if sum(info.file_size for info in archive.infolist()) > len(content):
            raise ValueError("it claims to hold more than it is long")
        (steps,) = [name for name in archive.namelist() if name.endswith("/data.pkl")] or ("data.pkl",)
        folder = steps.removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("its numbers are not little-endian")
        reader = _Steps(lambda key: archive.read(f"{folder}data/{key}"), len(content))
        return reader.state_dict(_member(archive, steps, MOST_STEPS_BYTES))


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    # Asked before reading: zipfile unpacks no more than what is claimed here.
    size = archive.getinfo(name).file_size
    if size > most:
        raise ValueError(f"{name} has {size:,} bytes, and {most:,} is the most")
    return archive.read(name)


class _Steps:
    """Follows the steps of a pickle with a stack and a memo; ``stored`` gives the bytes of a storage by its key."""

    def __init__(self, stored: Callable[[str], bytes], most_bytes: int) -> None:
        self._stored, self._most, self._left = stored, most_bytes, most_bytes
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def state_dict(self, steps: bytes) -> Arrays:
        for step, argument, _ in pickletools.genops(steps):
            if step.name == "STOP":
                break
            self._follow(step.name, argument)
        (found,) = self._stack
        if not isinstance(found, dict) or not all(isinstance(array, np.ndarray) for array in found.values()):
            raise ValueError("it holds more than named tensors")
        # The memo can put one tensor under many names, and each would be copied by whoever takes the arrays.
        if sum(array.nbytes for array in found.values()) > self._most:
            raise ValueError(_TOO_MUCH)
        return found

    def _follow(self, step: str, argument: Any) -> None:
        stack = self._stack
        if step in _PLAIN:
            stack.append(_PLAIN[step](argument))
        elif step in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif step in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif step in ("TUPLE1", "TUPLE2", "TUPLE3"):
            stack[-int(step[-1]) :] = [tuple(stack[-int(step[-1]) :])]
        elif step == "TUPLE":
            stack.append(tuple(self._since_mark()))
        elif step == "SETITEM":
            value, key = stack.pop(), stack.pop()
            _dict_of(stack)[_text(key)] = value
        elif step == "SETITEMS":
            items = self._since_mark()
            _dict_of(stack).update(zip(map(_text, items[::2]), items[1::2], strict=True))
        elif step == "BINPERSID":
            stack.append(self._storage(stack.pop()))
        elif step == "REDUCE":
            arguments, called = stack.pop(), stack.pop()
            stack.append(self._called(called, arguments))
        elif step == "BUILD":
            stack.pop()  # versions of the modules
            _dict_of(stack)
        elif step != "PROTO":
            raise ValueError(f"it is not a plain state dict ({step})")

    def _since_mark(self) -> list[Any]:
        at = max(k for k, value in enumerate(self._stack) if value is _MARK)
        values = self._stack[at + 1 :]
        del self._stack[at:]
        return values

    def _storage(self, persistent: Any) -> npt.NDArray[Any]:
        _, kind, key, _, count = persistent
        content = self._stored(_text(key))
        # The count in the pickle is only a claim; the bytes that are there decide.
        if kind not in TYPES.values() or count * np.dtype(kind).itemsize != len(content):
            raise ValueError("a storage is not what it is said to be")
        return np.frombuffer(content, kind)

    def _called(self, called: Any, arguments: Any) -> Any:
        if called is _DICT and arguments == ():
            return {}
        if called is not _TENSOR:
            raise ValueError("it asks for more than tensors")
        storage, offset, shape, strides = arguments[:4]
        # isinstance would let True through.
        if not all(type(number) is int for number in (offset, *shape)):
            raise ValueError("the shape of a tensor is not made of numbers")
        count = math.prod(shape)
        # An own copy of each: views with stride 0, or many of one storage, would be larger than the file.
        self._left -= count * storage.itemsize
        if self._left < 0 or strides != _contiguous(shape) or not 0 <= offset <= len(storage) - count:
            raise ValueError(_TOO_MUCH)
        return storage[offset : offset + count].reshape(shape).copy()


def _dict_of(stack: list[Any]) -> dict[Any, Any]:
    if not isinstance(stack[-1], dict):
        raise ValueError("it is not a state dict")
    return stack[-1]


def _text(value: Any) -> str:
    """Names only: hashing or printing what a pickle can nest may take for ever."""
    if not isinstance(value, str):
        raise ValueError("it is not a plain state dict: a name is no text")
    return value


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a tensor without gaps, in elements."""
    return tuple(math.prod(shape[k + 1 :]) for k in range(len(shape)))


def _named(name: str) -> Any:
    """What a global of the pickle stands for here."""
    module, _, attribute = name.partition(" ")
    if (module, attribute) == ("collections", "OrderedDict"):
        return _DICT
    if (module, attribute) == ("torch._utils", "_rebuild_tensor_v2"):
        return _TENSOR
    if module == "torch" and attribute in TYPES:
        return TYPES[attribute]
    raise ValueError(f"it asks for {name[:80]!r}")


_PLAIN: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1"), lambda value: value),
    "MARK": lambda _: _MARK,
    "EMPTY_DICT": lambda _: {},
    "EMPTY_TUPLE": lambda _: (),
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "GLOBAL": _named,
}
