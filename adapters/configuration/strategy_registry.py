"""Finding strategies: entry points of the group ``arb.strategies``, ``module:Class`` of anything importable, or a class
of a file that is named by its path, ``./mine.py:MyRule``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

from adapters.configuration.strategy_files import file_and_class, load_file
from adapters.naming.names import plain
from engine.errors import ArbError, UserError, did_you_mean, in_words, shown
from engine.observation.answers import is_ours, what_happened
from engine.settings import Settings, parse_settings
from strategies.plugin import ClockParameters, Context, StrategyPlugin

GROUP = "arb.strategies"
LONGEST_REASON = 300
EVERY_HOURS, PHASE = "every_hours", "phase"
"""Parameters of a strategy with a clock."""

StrategyClass = type[StrategyPlugin]
Made = TypeVar("Made")


def strategy_classes() -> dict[str, EntryPoint]:
    """Every installed strategy by name, sorted, not imported yet. Raises ``UserError`` when two claim one name."""
    found: dict[str, EntryPoint] = {}
    for entry in sorted(_installed(), key=lambda entry: entry.name):
        other = found.setdefault(entry.name, entry)
        # Installed twice from the same place is no conflict; two packages would win by chance.
        if other.value != entry.value:
            raise UserError(f"two installed packages bring a strategy {entry.name!r}: {other.value} and {entry.value}")
    return found


@cache
def _installed() -> Sequence[EntryPoint]:
    """Looked up once: it reads what every installed package says of itself."""
    return tuple(entry_points(group=GROUP))


def load_strategy_class(name: str) -> StrategyClass:
    """The class behind an installed name, ``module:Class`` or ``./file.py:Class``; modules of the working directory are
    found too.

    Raises ``UserError`` for an unknown name (with the nearest one), a module that cannot be imported, and a class
    that is no strategy.
    """
    in_file = file_and_class(name)
    if in_file is not None:
        place, attribute = in_file
        return checked_class(name, _imported(name, lambda: _attribute(load_file(place), attribute)))
    if ":" in name:
        module, _, attribute = name.partition(":")
        return checked_class(name, _imported(name, lambda: _import_class(module, attribute)))
    check_names([name])
    return checked_class(name, _imported(name, strategy_classes()[name].load))


def check_names(names: Iterable[str]) -> None:
    """Raises ``UserError`` for the first name that is neither installed nor has a class after a colon."""
    known = strategy_classes()
    for name in names:
        if name not in known and ":" not in name:
            hint = did_you_mean(name, known)
            raise UserError(
                f"unknown strategy {shown(name)}; {hint} `arb strategies` lists them; "
                "your own: module:Class or ./file.py:Class"
            )


def build_strategy(name: str, raw_parameters: Mapping[str, Any], context: Context) -> StrategyPlugin:
    """A strategy with validated parameters, ready to decide.

    Raises ``UserError`` like ``load_strategy_class``, for a parameter that is unknown or out of range, and when the
    strategy needs more policies than the context has, or the future where there is none.
    """
    return build_from_class(name, load_strategy_class(name), raw_parameters, context)


def build_from_class(
    name: str, strategy_class: StrategyClass, raw_parameters: Mapping[str, Any], context: Context
) -> StrategyPlugin:
    """``build_strategy`` for a class that is at hand; ``name`` is for messages."""
    parameters = parse_parameters(name, strategy_class, raw_parameters)
    if needs_future(strategy_class) and context.future is None:
        raise UserError(f"{name} knows the future; only `arb backtest` plays it, as a measure for the others")
    if len(context.policies) < strategy_class.policies:
        needed = "a trained model" if strategy_class.policies == 1 else f"{strategy_class.policies} trained models"
        raise UserError(f"strategy {name} needs {needed}; give --model PATH (you gave {len(context.policies)})")
    return _own_code(name, "cannot be started", strategy_class, lambda: strategy_class(parameters, context))


def parse_parameters(name: str, strategy_class: StrategyClass, raw: Mapping[str, Any]) -> Settings:
    """Validated parameters of a strategy. Raises ``SettingsError`` naming the nearest key for an unknown one."""
    model = strategy_class.Parameters
    what = "cannot check its parameters"
    return _own_code(name, what, strategy_class, lambda: parse_settings(model, raw, origin=f"strategies.{name}"))


def needs_future(strategy_class: StrategyClass) -> bool:
    """Whether a class is no strategy but a measure that knows the whole window beforehand."""
    return bool(getattr(strategy_class, "needs_future", False))


def has_clock(strategy_class: StrategyClass) -> bool:
    """Whether a strategy decides at some hours only, so that its result depends on which."""
    return issubclass(strategy_class.Parameters, ClockParameters)


def hours_between_decisions(parameters: Settings) -> int:
    """How many phases the clock of a strategy has; 0 without a clock."""
    return parameters.every_hours if isinstance(parameters, ClockParameters) else 0


def _import_class(module: str, attribute: str) -> Any:
    # The command's script folder is on the path, not the folder where the user stands with a module of his own.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    return _attribute(importlib.import_module(module), attribute)


def _attribute(module: ModuleType, attribute: str) -> Any:
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part)
    return found


def _imported(name: str, load: Callable[[], Any]) -> Any:
    """Whatever a plug-in's import raises becomes one line; the cause stays attached for -v."""
    try:
        return load()
    except (Exception, SystemExit) as error:
        # SystemExit too: a plug-in that calls exit at its import would end the command without a word.
        raise UserError(f"strategy {plain(name)} cannot be imported: {in_words(error)}") from error


def _own_code(name: str, what: str, strategy_class: StrategyClass, run: Callable[[], Made]) -> Made:
    """What a plug-in's own code makes; whatever it raises becomes one line, and a defect of ours stays one."""
    try:
        return run()
    except ArbError:
        raise
    except (Exception, SystemExit) as error:
        # A shipped strategy that fails is our defect and keeps its traceback.
        if is_ours(strategy_class):
            raise
        raise UserError(f"strategy {name} {what}: {what_happened(error, strategy_class)}") from error


def checked_class(name: str, found: Any) -> StrategyClass:
    """Something as the class of a strategy. Raises ``UserError`` saying what it lacks."""
    parameters = getattr(found, "Parameters", None)
    problems = [
        "is not a class" if not isinstance(found, type) else "",
        "" if isinstance(parameters, type) and issubclass(parameters, Settings) else "has no Parameters(Settings)",
        "" if isinstance(getattr(found, "policies", None), int) else "has no number `policies`",
        "" if callable(getattr(found, "decide", None)) else "has no decide(view)",
    ]
    if any(problems):
        what = ", ".join(problem for problem in problems if problem)
        raise UserError(f"{name} is no strategy: it {what} (see strategies/plugin.py)")
    return cast(StrategyClass, found)
