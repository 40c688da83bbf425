"""Settings of a walk-forward as its run may state them: what each fold chose itself is not among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def stated_settings(settings: Mapping[str, Any], strategy: str, walk: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that all folds of a strategy were played with; ``walk`` is ``walk_forward`` of the manifest.

    The parameters in force of a rule that is tuned, those of other rules, hyperparameters that a population searches,
    and the record of an earlier search were used by no fold. What was used instead stands in ``folds.json``.
    """
    population, rules = walk.get("population"), settings.get("strategies", {})
    fixed = walk.get("grid") is None and population is None
    stated = {**settings, "strategies": {strategy: rules[strategy]} if fixed and strategy in rules else {}, "tuned": {}}
    if population is None:
        return _without(stated, "training", "pbt", "observation")
    if population == 1:
        return _without(stated, "pbt")
    training, searched = settings.get("training", {}), settings.get("pbt", {}).get("search", {})
    return {**stated, "training": {**training, "ppo": _without(training.get("ppo", {}), *searched)}}


def _without(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}
