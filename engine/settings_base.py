"""What every settings model is made of: frozen, typed values with an id, and one line for whatever is wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cache
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from engine.errors import LONGEST_REASON, LONGEST_VALUE, SettingsError, cut, did_you_mean, shown

LARGEST = 1e12
"""Of any amount, time or factor that is set: sums and products of what is beyond stop being numbers."""
MOST_HOURS = 100_000
MOST_BPS = 4_000.0
"""Of slippage and of what an outage adds to it; with both a sale still has a price above zero."""
Positive = Annotated[float, Field(gt=0, le=LARGEST, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
Hours = Annotated[int, Field(ge=1, le=MOST_HOURS)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""Every generator that is used takes it."""


class Settings(BaseModel):
    """Base of every settings model: frozen, unknown keys refused, with an id that is a hash of its values."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _is_what_it_looks_like(cls, value: Any, info: ValidationInfo) -> Any:
        """A switch is no number, whatever Python says, and no text or path holds a NUL."""
        kind: Any = cls.model_fields[str(info.field_name)].annotation
        for part in _parts(value, kind):
            # ``leverage: true`` would pass as 1.
            if isinstance(part, bool) and not _holds(kind, _is_switch):
                raise ValueError("true and false are no values of it")
            if isinstance(part, str) and "\0" in part:
                raise ValueError("it holds a NUL character")
        return value

    def hash(self) -> str:
        """Sixteen hex digits that change when any value changes."""
        return hash_of(self.model_dump(mode="json"))


def _parts(value: Any, kind: Any) -> Iterable[Any]:
    """What a value for a field of this type is made of; a mapping that becomes a model is checked there."""
    if isinstance(value, Mapping) and not _holds(kind, _is_model):
        return value.values()
    return value if isinstance(value, list | tuple) else [value]


@cache
def _holds(kind: Any, wanted: Callable[[Any], bool]) -> bool:
    """Whether a type is, or is made with, one of those that are wanted."""
    return wanted(kind) or any(_holds(part, wanted) for part in get_args(kind) if isinstance(part, Hashable))


def _is_switch(kind: Any) -> bool:
    return kind is bool or kind is Any


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def hash_of(value: Any) -> str:
    """Sixteen hex digits over the canonical JSON of a value."""
    # Sorted and without spaces: equal values give the same text, in whatever order they were written.
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


AnySettings = TypeVar("AnySettings", bound=Settings)


def parse_settings(model: type[AnySettings], values: Mapping[str, Any], *, origin: str = "settings") -> AnySettings:
    """Validate raw values (from YAML and ``--set``) into a settings model.

    Raises ``SettingsError`` with one line: the key, the value, the reason, and for an unknown key the nearest one.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise SettingsError(f"{origin}: {first_problem(model, error)}") from None
    except RecursionError:
        raise SettingsError(f"{origin}: the settings are nested too deeply") from None


def first_problem(model: type[BaseModel], error: ValidationError) -> str:
    """The first thing that is wrong with values for a model, in one short line."""
    first = error.errors(include_url=False, include_context=False)[0]
    key = cut(".".join(str(part) for part in first["loc"]), LONGEST_VALUE)
    told = _part_to_tell(model, first["loc"])
    if first["type"] == "extra_forbidden":
        unknown = repr(key) if told is None else f"in {told!r}"
        hint = did_you_mean(key, known_keys(model))
        return f"unknown key {unknown}; {hint}" if hint else f"unknown key {unknown}"
    message = cut(first["msg"].removeprefix("Value error, "), LONGEST_REASON)
    what = f"{key} = {shown(first['input'])}" if told is None else told
    return f"{what}: {message}" if key else message


def _part_to_tell(model: type[BaseModel], place: tuple[Any, ...]) -> str | None:
    """As much of a key as a message may name when the settings there hold a secret; None when they do not.

    Whatever was written there, values and unknown keys, may be the secret in the wrong line.
    """
    for depth, part in enumerate(place):
        field = model.model_fields.get(str(part))
        if model.model_config.get("hide_input_in_errors"):
            return ".".join(str(known) for known in place[: depth if field is None else depth + 1])
        kind = None if field is None else field.annotation
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return None
        model = kind
    return ".".join(map(str, place)) if model.model_config.get("hide_input_in_errors") else None


def known_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Every dotted key of a settings model."""
    keys: list[str] = []
    for name, info in model.model_fields.items():
        keys.append(prefix + name)
        # Of what may be absent the keys are those that it has when it is there.
        either = [kind for kind in get_args(info.annotation) if kind is not NoneType]
        kind = either[0] if len(either) == 1 and NoneType in get_args(info.annotation) else info.annotation
        if isinstance(kind, type) and issubclass(kind, Settings):
            keys.extend(known_keys(kind, f"{prefix}{name}."))
    return keys
