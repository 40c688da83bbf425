"""A made policy in the place of the shipped one, with its card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from adapters.configuration.settings import ArbSettings
from adapters.research.deployment import put
from adapters.research.policy.card_facts import PolicyFacts, facts_of, joined, later_fold
from adapters.research.policy.member import STATE
from adapters.research.policy.plan import PLAN
from adapters.research.policy.run import BUNDLE, MANIFEST, making
from adapters.research.significance import TRIALS as KEPT
from adapters.storage.bundles import load_bundle, save_bundle
from adapters.storage.run_names import CARD
from adapters.storage.trials import FILE as TRIALS
from adapters.storage.trials import read_trials
from engine.errors import UserError


def is_made(run: Path) -> bool:
    """Whether a folder is a run of ``arb make-policy``."""
    return (run / PLAN).is_file() and (run / STATE).is_dir()


def ship(
    run: Path, to: Path, texts_of: Callable[[PolicyFacts], Mapping[str, str]], rules: ArbSettings,
    tried: Sequence[Path] = (), look: tuple[datetime, datetime] | None = None,
) -> str:  # fmt: skip
    """Ship the bundle of a finished run beside the card and pictures of ``texts_of``, and return the card.

    ``tried`` are folders of other runs whose trials count too: the best of many looks better than it is. ``look`` are
    first and last of later hours that the card shows too. Raises ``UserError`` for a run that is not finished.
    """
    if not (run / MANIFEST).is_file():
        raise UserError(f"{run} is not finished; go on with: arb make-policy --resume {run}")
    with making(run, 1) as made:
        record = joined([read_trials(folder / TRIALS) for folder in (run, *tried)])
        later = None if look is None else later_fold(made.plan.recipe, *look)
        facts = facts_of(made, rules, record, later)
    texts, bundle = texts_of(facts), load_bundle(run / BUNDLE)
    kept = {name: bundle.meta[name] for name in ("dataset_fingerprint", "training", "metrics")}
    training = {**kept["training"], KEPT: None if facts.trials is None else facts.trials.model_dump(mode="json")}

    def fill(aside: Path) -> None:
        save_bundle(bundle.policy, {**kept, "training": training}, aside / f"1-{facts.name}")
        for name, text in texts.items():
            (aside / name).write_text(text, encoding="utf-8")

    put(to, fill)
    return texts[CARD]
