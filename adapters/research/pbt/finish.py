"""What is written once a population has trained to its end: the winner's bundle and the manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from adapters.research.manifest import build_manifest
from adapters.research.pbt.imitation import read_facts
from adapters.research.pbt.job import PBTJob, load_job_data
from adapters.research.pbt.machine import machine
from adapters.research.pbt.reports import write_hyperparameters, write_whole
from adapters.research.pbt.tried import tried
from adapters.research.phases import NO_CLOCK, at_phases, over_phases
from adapters.research.players import policy_player
from adapters.research.playing import play
from adapters.storage.bundles import FILES_SHA256, MOST_MODEL_BYTES, read_model_file, require_listed, save_bundle
from adapters.storage.pbt_names import agent_zip
from adapters.storage.policy_zip import layers_of_zip
from adapters.storage.regular_files import read_regular, sha256_of
from adapters.storage.trials import FILE as TRIALS
from engine.analysis.metrics import Metrics
from engine.worlds import AnyWorld
from rl_training.learners.registry import maker_of
from rl_training.pbt.results import Iteration
from strategies.policy import Policy


def finish(
    folder: Path,
    job: PBTJob,
    iterations: Sequence[Iteration],
    *,
    started: datetime,
    **more: Any,
) -> dict[str, Metrics]:
    """Hyperparameters, ``bundle/`` of the winner and ``manifest.json``; returns the winner's validation metrics."""
    last = iterations[-1]
    dataset, world = load_job_data(job)
    write_hyperparameters(folder, job, last)
    # Of the last iteration, not of all: the checkpoints of earlier ones are gone.
    winner = last.ranking[0]
    files = _files(folder, last)
    policy = agent_policy(folder, job, winner, files)
    metrics = validation_metrics(job, world, policy)
    trials = tried(folder, job, iterations)
    manifest = build_manifest(
        job.settings,
        dataset,
        written_by="arb train-pbt",
        seed=job.seed,
        started=started,
        learner=job.learner,
        windows=windows_in_words(job),
        schedule={
            "iterations": job.schedule.iterations,
            "steps_asked": job.schedule.timesteps,
            "steps_made": job.environment_steps,
            "rollout_steps": job.schedule.rollout_steps,
        },
        search_budget={"agents": len(last.results), "scores_on_validation": len(last.results) * len(iterations)},
        trials=None if trials is None else trials.model_dump(mode="json"),
        winner=winner,
        machine=machine(),
        **({"imitation": read_facts(folder)} if job.draws_worlds else {}),
        **more,
    )
    facts = bundle_facts(folder, job, winner, metrics, manifest)
    save_bundle(policy, {**facts, FILES_SHA256: files}, folder / "bundle")
    # Last of all: whoever finds it may take the run as finished.
    write_whole(folder / "manifest.json", manifest)
    return metrics


def _files(folder: Path, last: Iteration) -> dict[str, str]:
    """SHA-256 of what a run leaves for others to read: the agents as they were trained, and the record of trials."""
    files = {agent_zip(agent): result.model_sha256 for agent, result in last.results.items()}
    found = {name: sha256 for name, sha256 in files.items() if sha256 is not None}
    record = folder / TRIALS
    return {**found, TRIALS: sha256_of(read_regular(record, MOST_MODEL_BYTES))} if record.is_file() else found


def agent_policy(folder: Path, job: PBTJob, agent: int, listed: Mapping[str, str]) -> Policy:
    """The policy of an agent at the end of a run. Raises ``BundleError`` for another file than the one ``listed``."""
    path = folder / agent_zip(agent)
    content = read_model_file(path)
    require_listed(listed, path, content)
    layers, costs = layers_of_zip(content, path), job.settings.cost_table_hash()
    kind = maker_of(job.learner).network_kind
    return Policy(f"{folder.name}-agent_{agent}", job.settings.observation, job.scaler, *layers, costs, kind)


def validation_metrics(job: PBTJob, world: AnyWorld, policy: Policy) -> dict[str, Metrics]:
    """Metrics on the validation window, filled at once and one hour late, by the backtest itself.

    Means over the phases that agents were judged at.
    """
    player = policy_player(policy)
    players = at_phases(player) if job.settings.pbt.judge.phases else {NO_CLOCK: player}
    window = world.tape.market.window(job.validate_from, job.validate_to)
    worlds = {"validation": world, "validation_1h_late": world.late()}
    return {
        name: over_phases({phase: play(one, where, window) for phase, one in players.items()})
        for name, where in worlds.items()
    }


def windows_in_words(job: PBTJob) -> dict[str, str]:
    """First and last hours of training and validation."""
    return {name: getattr(job, name).isoformat() for name in ("train_from", "train_to", "validate_from", "validate_to")}


def bundle_facts(
    folder: Path, job: PBTJob, agent: int, metrics: dict[str, Metrics], manifest: dict[str, Any]
) -> dict[str, Any]:
    """What a bundle says besides the policy."""
    return {
        "dataset_fingerprint": job.fingerprint,
        "training": manifest,
        "metrics": metrics,
        "run": folder.name,
        "agent": agent,
    }
