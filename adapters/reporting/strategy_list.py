"""A strategy and its parameters as lines for people: shipped value, range, meaning."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from adapters.configuration.strategy_registry import load_strategy_class, parse_parameters
from engine.errors import UserError
from engine.settings import Settings

WIDTH = 100


def describe(name: str, values: Mapping[str, Any], *, must_load: bool = False) -> list[str]:
    """Lines of one strategy, at most 100 columns; one that cannot be loaded says why, or raises if it must."""
    try:
        strategy_class = load_strategy_class(name)
        parameters = parse_parameters(name, strategy_class, values)
    except UserError as error:
        # In a list of all, one package that cannot be imported must not hide the others.
        if must_load:
            raise
        return list(_wrapped(f"{name:<9} ", f"not available: {error}"))
    models = {0: "", 1: " Needs a trained model (--model)."}
    needs = models.get(strategy_class.policies, f" Needs {strategy_class.policies} trained models (--model).")
    lines = list(_wrapped(f"{name:<9} ", _first_line(strategy_class.__doc__) + needs))
    return lines + _parameter_lines(parameters)


def _parameter_lines(parameters: Settings) -> list[str]:
    rows = [
        (key, _value(getattr(parameters, key)), allowed(info), info.description or "")
        for key, info in type(parameters).model_fields.items()
    ]
    widths = [max((len(row[k]) for row in rows), default=0) for k in range(3)]
    lines: list[str] = []
    for key, value, span, description in rows:
        head = f"  {key:<{widths[0]}}  {value:>{widths[1]}}  {span:<{widths[2]}}  "
        lines.extend(_wrapped(head, description))
    return lines


def allowed(info: FieldInfo) -> str:
    """The values a parameter may take, as a person writes them: ``24, 72, 168`` or ``0 .. 1`` or ``> 0``."""
    if get_origin(info.annotation) is Literal:
        return ", ".join(_value(choice) for choice in get_args(info.annotation))
    low, high = _bound(info, {"ge": "", "gt": ">"}), _bound(info, {"le": "", "lt": "<"})
    return f"{low} .. {high}".strip() if low or high else ""


def _bound(info: FieldInfo, signs: Mapping[str, str]) -> str:
    for bound in info.metadata:
        for name, sign in signs.items():
            if hasattr(bound, name):
                return sign + _value(getattr(bound, name))
    return ""


def _value(value: Any) -> str:
    # As they are written in YAML, so that a line can be copied into a configuration.
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0]


def _wrapped(head: str, text: str) -> Iterator[str]:
    """``head`` before the first line, blanks below it before the others."""
    room = max(WIDTH - len(head), 20)
    lines = textwrap.wrap(text, room) or [""]
    yield (head + lines[0]).rstrip()
    yield from (" " * len(head) + line for line in lines[1:])
