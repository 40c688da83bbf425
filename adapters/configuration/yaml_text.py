"""YAML as people mean it: one key stands once, 1:30 is no number, yes is no switch, and nothing contains itself.

It is YAML 1.2's core (3e-4 is a number, only true and false are switches), without tags and dates: a time is a text
until a setting reads it, so that a mistake in it is told with its key.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from adapters.storage.regular_files import read_regular
from engine.errors import LONGEST_VALUE, cut, shown

MOST_BYTES = 250_000
MOST_VALUES = 100_000
"""Of a file with everything written out that its aliases stand for."""
MOST_DIGITS = 300
_TAG = "tag:yaml.org,2002:"
_WORDS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+", list("-+0123456789")),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    "merge": (r"<<", ["<"]),
}


class NotYamlError(ValueError):
    """What is wrong with a text, in one line."""


class _Loader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise NotYamlError(f"line {line}: a key must be a word")
            if key.tag == f"{_TAG}merge":
                continue
            # The library keeps the last of two equal keys without a word, so that a fee could be overwritten unseen.
            first = lines.get((key.tag, key.value))
            if first is not None:
                raise NotYamlError(f"line {line}: the key {shown(key.value)} stands there twice, first in line {first}")
            lines[key.tag, key.value] = line
        return node


# Emptied, because YAML 1.1 reads 1:30 as 90, yes as true and 012 as 10.
_Loader.yaml_implicit_resolvers = {}
_Loader.yaml_constructors = {
    tag: make
    for tag, make in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.removeprefix(_TAG) in ("null", "bool", "int", "float", "str", "seq", "map")
}
for _name, (_pattern, _first) in _WORDS.items():
    _Loader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(f"^(?:{_pattern})$"), _first)


def _whole(loader: _Loader, node: yaml.ScalarNode) -> int:
    digits = str(loader.construct_scalar(node))
    if len(digits) > MOST_DIGITS:
        raise NotYamlError(f"line {node.start_mark.line + 1}: a number of {len(digits)} digits")
    return int(digits)


_Loader.add_constructor(f"{_TAG}int", _whole)


def read_yaml_file(path: Path) -> Any:
    """What a file says. Raises ``OSError`` and ``NotYamlError``."""
    content = read_regular(path, MOST_BYTES)
    try:
        # Editors on Windows put a mark in front, which would become part of the first key.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotYamlError(f"it is not UTF-8 ({error.reason} at byte {error.start})") from None
    return parse_yaml(text)


def parse_yaml(text: str) -> Any:
    """What a text says. Raises ``NotYamlError``."""
    try:
        value = yaml.load(text, _Loader)  # a SafeLoader with fewer tags
    except NotYamlError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = "" if mark is None else f"line {mark.line + 1}: "
        raise NotYamlError(f"{place}{_short(error.problem or error.context or 'it cannot be read')}") from None
    except RecursionError:
        raise NotYamlError("it is nested too deeply") from None
    except (yaml.YAMLError, ValueError, OverflowError, LookupError) as error:
        raise NotYamlError(_short(str(error))) from None
    if _size(value, {}, set()) > MOST_VALUES:
        raise NotYamlError(f"its aliases stand for more than {MOST_VALUES:,} values")
    return value


def _size(value: Any, known: dict[int, int], open_: set[int]) -> int:
    """Values in a value, those that stand there several times counted as often."""
    if not isinstance(value, dict | list):
        return 1
    # On the way down from itself: without this a mapping that contains itself would be walked for ever.
    if id(value) in open_:
        raise NotYamlError("something in it contains itself")
    if id(value) not in known:
        open_.add(id(value))
        parts = value.values() if isinstance(value, dict) else value
        # Each value is counted once, however often an alias names it: a few lines can stand for billions.
        known[id(value)] = 1 + sum(_size(part, known, open_) for part in parts)
        open_.remove(id(value))
    return known[id(value)]


def _short(text: str) -> str:
    return cut(text, LONGEST_VALUE)
