"""The significance of a run: from its records to ``significance.json``, and to words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from adapters.configuration.settings import ArbSettings
from adapters.configuration.strategy_registry import load_strategy_class, parse_parameters
from adapters.storage.bundles import DESCRIPTION, bundle_folder, deployed_models, read_description
from adapters.storage.run_files import write_json
from engine.accounting.records import Records
from engine.analysis.significance import NO_RECORD, Significance, SignificanceSettings, Trials, returns_of, significance
from engine.errors import BundleError
from engine.settings import parse_settings

FILE = "significance.json"
TRIALS = "trials"
"""Key of a bundle's training manifest that holds the trials its policy was chosen from."""


def significance_of(
    name: str,
    records: Records,
    settings: ArbSettings,
    hours: tuple[datetime, datetime],
    fingerprint: str,
    *,
    models: Sequence[Path] = (),
    knows_future: bool = False,
) -> Significance:
    """Judge the run of a strategy over ``hours`` (inclusive) against the trials that it was chosen from."""
    returns = returns_of(records, settings.initial_capital_usd)
    if knows_future:
        return significance(returns, settings.significance, without="it knew the future")
    trials, without = trials_behind(name, settings, models)
    found = significance(returns, settings.significance, trials, without=without)
    return found.model_copy(update={"trials_reason": other_hours(trials, hours, fingerprint)})


def trials_behind(name: str, settings: ArbSettings, models: Sequence[Path] = ()) -> tuple[Trials | None, str]:
    """What a strategy was chosen from, by the record in its bundle or beside its parameters; else why not."""
    strategy_class = load_strategy_class(name)
    if strategy_class.policies:
        models = models or deployed_models()
        return _of_models(models[:1] if strategy_class.policies == 1 else models)
    tuned = settings.tuned.get(name)
    if tuned is None:
        return None, NO_RECORD
    # Parsed, so that a default that one of them leaves out is no difference.
    now, then = (
        parse_parameters(name, strategy_class, raw) for raw in (settings.strategies.get(name, {}), tuned.parameters)
    )
    if now != then:
        return None, f"{NO_RECORD}: the parameters are not those that `arb tune` chose"
    return tuned.trials, ""


def _of_models(models: Sequence[Path]) -> tuple[Trials | None, str]:
    found = [trials_of_model(model) for model in models]
    # Each record counts the tries of its own search alone; no number covers several searches.
    if any(one != found[0] for one in found):
        return None, "the models come from different searches"
    return found[0], "" if found[0] else NO_RECORD


def trials_of_model(model: Path) -> Trials | None:
    """The record in the training manifest of a bundle; None in bundles without one. Raises ``BundleError``."""
    path = bundle_folder(model) / DESCRIPTION
    training = read_description(path).get("training")
    kept = training.get(TRIALS) if isinstance(training, dict) else None
    if kept is None:
        return None
    if not isinstance(kept, dict):
        raise BundleError(f"{path}: training.{TRIALS} is no record of trials")
    return parse_settings(Trials, kept, origin=f"{path}: training.{TRIALS}")


def other_hours(trials: Trials | None, hours: tuple[datetime, datetime], fingerprint: str) -> str | None:
    """A word of warning where the trials were made on other hours or other data than these."""
    if trials is None:
        return None
    apart = hours[1] < trials.start or trials.end < hours[0]
    if not apart and fingerprint == trials.dataset_fingerprint:
        return None
    where = f"{trials.start:%Y-%m-%dT%H:%MZ} to {trials.end:%Y-%m-%dT%H:%MZ}"
    return f"the trials were made on {'other hours' if apart else 'other data'} ({where})"


def write_significance(folder: Path, found: Significance) -> None:
    """``significance.json``, one flat object."""
    write_json(folder / FILE, found.model_dump(mode="json"))


def after_all(found: Significance, what: str) -> str:
    """What is left of the best one's Sharpe ratio after all that was tried, in whole sentences."""
    tried = f"{found.trials} {what} were tried."
    if found.deflated_sharpe is None:
        return f"{tried} Deflated Sharpe ratio of the best: none ({found.deflated_sharpe_reason})."
    overfitting = f"none ({found.pbo_reason})" if found.pbo is None else f"{found.pbo:.2f}"
    losing = "" if found.loss_probability is None else (
        f"; the best by one half of the hours lost money in the other half in {100 * found.loss_probability:.0f} % of "
        "the cases"
    )  # fmt: skip
    return (
        f"{tried} After that the best one's Sharpe of {found.sharpe:.2f} is worth a probability of "
        f"{found.deflated_sharpe:.2f} to be more than luck, which alone would have shown {found.luck_sharpe:.2f} "
        f"(more than zero: {found.probabilistic_sharpe:.2f}). "
        f"Probability of backtest overfitting: {overfitting}{losing}."
    )


__all__ = ["Significance", "SignificanceSettings", "Trials", "significance", "significance_of", "trials_behind"]
