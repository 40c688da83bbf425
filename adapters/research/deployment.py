"""Putting the best of a run in the place of the shipped model, with a card that says what is known about it.

The model that was shipped before is kept beside the new one, and ``roll_back`` exchanges the two.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from adapters.configuration.settings import ArbSettings
from adapters.datasets.load import Dataset
from adapters.naming.names import stem_of_text
from adapters.research.card_facts import CardFacts, Judged, Scores
from adapters.research.contestants import RULES, ranking, rules_of
from adapters.research.pbt.finish import agent_policy, bundle_facts
from adapters.research.pbt.job import PBTJob, load_job_data, read_job
from adapters.research.pbt.tried import trials_of_run
from adapters.research.players import policy_player, voting_player
from adapters.research.playing import Played, play, signs_of
from adapters.research.policy.judging import AT_ONCE, DOUBLED, LATE, scenarios
from adapters.research.significance import TRIALS, trials_behind
from adapters.storage.atomic import new_directory
from adapters.storage.bundles import (
    DESCRIPTION,
    LOOKS,
    bundle_folder,
    bundle_only,
    listed_files,
    load_bundle,
    read_description,
    save_bundle,
)
from adapters.storage.giving_way import check_place, unfamiliar
from adapters.storage.json_files import read_objects
from adapters.storage.looks import record_look
from adapters.storage.pbt_names import JOB, read_summary
from adapters.storage.run_names import CARD, PICTURES
from engine.analysis.significance import NO_RECORD, Trials, significance
from engine.errors import DataError, UserError, in_words
from engine.worlds import World
from strategies.policy import Policy

Runs = Mapping[str, Mapping[str, Played]]
"""By player, then by scenario; the model first."""


def deploy(
    run: Path, agents: Sequence[int], to: Path, card_of: Callable[[CardFacts], str], *, rules: ArbSettings | None = None
) -> str:
    """Ship agents of a finished run (several vote) with the card that ``card_of`` writes, and return the card.

    ``rules`` brings the parameters of the rules that the card compares with. Raises ``UserError`` for an agent that
    the run does not have, ``BundleError`` for a model file that is not whole.
    """
    job, order = read_job(run / JOB), ranking(run)
    # Asked again before writing; here so that a wrong folder is told before minutes of playing.
    _check_places(to)
    unknown = [agent for agent in agents if agent not in order]
    if unknown:
        raise UserError(f"{run} has no agent {unknown[0]}; it has {', '.join(map(str, sorted(order)))}")
    dataset, world = load_job_data(job)
    listed = listed_files(run)
    policies = [agent_policy(run, job, agent, listed) for agent in agents]
    comparison = rules or job.settings
    played = _played(job, world, policies, comparison)
    scores = {who: {how: one.metrics for how, one in by_fills.items()} for who, by_fills in played.items()}
    tried = trials_of_run(run, job)
    judged = _judged(job, played, comparison, tried)
    manifest, summary = _training(run), read_summary(run)
    manifest[TRIALS] = None if tried is None else tried.model_dump(mode="json")
    looks = later_looks(run, job)
    model = next(iter(played.values()))
    signs = signs_of(model[AT_ONCE], model[LATE])
    facts = CardFacts(
        run.name, job, dataset.info, tuple(agents), order, scores, judged, signs, summary, comparison, looks,
        policies[0].architecture,
    )  # fmt: skip
    card = card_of(facts)
    _record_look(run, job, dataset, scores)
    put(to, lambda aside: _fill(aside, run, job, agents, policies, scores, manifest, card))
    return card


def previous_of(to: Path) -> Path:
    """Where the models are kept that ``to`` held before."""
    return to.with_name(f"{to.name}.previous")


def roll_back(to: Path) -> None:
    """Exchange the shipped models and those before them. Raises ``UserError`` when there are none, or none that are
    whole."""
    previous = previous_of(to)
    if not previous.is_dir():
        raise UserError(f"{previous} does not exist: nothing was shipped before")
    for description in previous.glob(f"*/{DESCRIPTION}"):
        # All are read before the exchange: a damaged model must not become the shipped one.
        load_bundle(description.parent)
    put(to, lambda aside: _copy(previous, aside))


def put(to: Path, fill: Callable[[Path], None]) -> None:
    """Fill a folder aside, keep what stands in its place, then exchange."""
    _check_places(to)
    with new_directory(to, instead_of=shipped_only) as aside:
        fill(aside)
        if to.is_dir():
            with new_directory(previous_of(to), instead_of=shipped_only) as kept:
                # Copied, not moved: the shipped model stays where it is until the exchange.
                _copy(to, kept)


def _check_places(to: Path) -> None:
    """Raise ``UserError`` unless both folders may give way: the shipped models, and those before them."""
    for folder in (to, previous_of(to)):
        check_place(folder, shipped_only)


def shipped_only(folder: Path) -> str | None:
    """What in a folder `arb deploy` did not put there; None when it holds shipped bundles and their card alone."""
    if not any(folder.glob(f"*/{DESCRIPTION}")):
        return "it holds no shipped model"
    return unfamiliar(folder, (CARD, *PICTURES), {"[1-9]*-*": bundle_only})


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)


def _fill(
    aside: Path, run: Path, job: PBTJob, agents: Sequence[int], policies: Sequence[Policy], scores: Scores,
    manifest: dict[str, Any], card: str,
) -> None:  # fmt: skip
    (shipped,) = [name for name in scores if name not in RULES]
    facts = dict(scores[shipped])
    # Where the data lay is of no use elsewhere; its fingerprint and name are kept.
    told = {**manifest, "dataset": {k: v for k, v in manifest["dataset"].items() if k != "path"}}
    for place, (agent, policy) in enumerate(zip(agents, policies, strict=True), start=1):
        save_bundle(policy, bundle_facts(run, job, agent, facts, told), aside / stem_of_text(f"{place}-{policy.name}"))
    (aside / CARD).write_text(card, encoding="utf-8")


def _played(job: PBTJob, world: World[ArbSettings], policies: Sequence[Policy], rules: ArbSettings) -> Runs:
    """One pass over validation by player and scenario: the model first, then the rules."""
    names = ", ".join(policy.name for policy in policies)
    model = voting_player(policies, names) if len(policies) > 1 else policy_player(policies[0])
    worlds = scenarios(world, (AT_ONCE, LATE, DOUBLED))
    window = world.tape.market.window(job.validate_from, job.validate_to)
    return {
        player.name: {scenario: play(player, one, window) for scenario, one in worlds.items()}
        for player in [model, *rules_of(RULES, rules)]
    }


def _judged(job: PBTJob, played: Runs, rules: ArbSettings, tried: Trials | None) -> Judged:
    """How much may be luck: the model against the scores of its run, rules against the search behind them."""
    found = {}
    for who, by_fills in played.items():
        trials, without = trials_behind(who, rules) if who in RULES else (tried, NO_RECORD)
        found[who] = {
            how: significance(one.returns, job.settings.significance, trials, without=without)
            for how, one in by_fills.items()
        }
    return found


def _record_look(run: Path, job: PBTJob, dataset: Dataset, scores: Scores) -> None:
    name = next(iter(scores))
    look = {
        "dataset": dataset.info.name, "dataset_fingerprint": dataset.fingerprint,
        "settings_hash": job.settings.hash(), "from": job.validate_from.isoformat(),
        "to": job.validate_to.isoformat(), "episodes": None, "seed": None,
        "model": f"deploy {name}", "pnl_pct": scores[name][AT_ONCE]["pnl_pct"],
    }  # fmt: skip
    record_look(run, look)


def later_looks(run: Path, job: PBTJob) -> int:
    """How many looks at hours after validation are recorded in the run, over all of its agents."""
    path = run / LOOKS
    try:
        return sum(datetime.fromisoformat(look["to"]) > job.validate_to for look in read_objects(path))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"a look in it is damaged: {in_words(error)}", file=str(path)) from None


def _training(run: Path) -> dict[str, Any]:
    """The manifest of a run as its bundle has it, where it is sealed."""
    path = bundle_folder(run) / DESCRIPTION
    training = read_description(path).get("training")
    if not isinstance(training, dict):
        raise DataError("has no manifest of its training", file=str(path))
    return dict(training)
