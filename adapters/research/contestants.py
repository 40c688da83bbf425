"""Who takes part in ``arb evaluate``: trained models, all agents of a run, votes of its best, and rules."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adapters.configuration.settings import ArbSettings, load_settings, overridden
from adapters.research.pbt.job import read_job
from adapters.research.players import Player, make_player, policy_player, voting_player, with_slots_of
from adapters.storage.bundles import load_policy, read_model
from adapters.storage.pbt_names import JOB, SUMMARY, agent_zip, read_summary
from engine.errors import DataError, UserError, in_words

RULES = ("hold", "greedy", "carry", "basis")


def is_population(path: Path) -> bool:
    """Whether a folder is a run of ``arb train-pbt``."""
    return (path / JOB).is_file()


def settings_for(models: Sequence[Path], config: Path | None, overrides: Sequence[str]) -> ArbSettings:
    """Settings of the evaluation: without ``config`` those of the first population, so that its costs are the same.

    Where no number of slots is stated, that of the first model holds for all.
    """
    populations = [model for model in models if is_population(model)]
    if config is not None or not populations:
        settings = load_settings(config, overrides)
        return settings if populations else with_slots_of(settings, [read_model(path).policy for path in models[:1]])
    values = read_job(populations[0] / JOB).settings.model_dump(mode="json")
    return overridden(values, overrides, origin="--set" if overrides else str(populations[0] / JOB))


def contestants(
    models: Sequence[Path],
    settings: ArbSettings,
    *,
    ensemble: int | None,
    baselines: Sequence[str],
    allow_other_costs: bool,
) -> list[Player]:
    """In the order of the table; the agents of a run stand best first by its own validation.

    Raises ``UserError`` for an unknown rule, for an ensemble without a run or of more agents than it has, and for
    models that do not fit the settings.
    """
    if ensemble is not None and not any(is_population(model) for model in models):
        raise UserError("--ensemble lets the best agents of a run vote; give the folder of a run of `arb train-pbt`")
    found: list[Player] = []
    for model in models:
        if is_population(model):
            found += _population(model, settings, ensemble, allow_other_costs)
        else:
            # Checked against the settings of the evaluation: a policy of other costs would be judged by the wrong fees.
            policy = load_policy(model, settings, allow_other_costs=allow_other_costs)
            found.append(policy_player(policy, name=str(model), model=model))
    return found + rules_of(baselines, settings)


def _population(run: Path, settings: ArbSettings, ensemble: int | None, allow_other_costs: bool) -> list[Player]:
    order = ranking(run)
    zips = {agent: run / agent_zip(agent) for agent in order}
    policies = {agent: load_policy(path, settings, allow_other_costs=allow_other_costs) for agent, path in zips.items()}
    found = [
        policy_player(policies[agent], name=str(path), model=path, look_name=path.name) for agent, path in zips.items()
    ]
    if ensemble is not None:
        members = best_of(order, ensemble, run)
        name = f"vote of agents {', '.join(map(str, members))}"
        voters = [policies[agent] for agent in members]
        found.append(voting_player(voters, f"{run}: {name}", model=run, look_name=name))
    return found


def rules_of(names: Sequence[str], settings: ArbSettings) -> list[Player]:
    """Rules by name, with the parameters in force."""
    return [make_player(name, settings.strategies.get(name, {})) for name in names]


def ranking(run: Path) -> list[int]:
    """The agents of a finished run, best first by its validation. Raises ``UserError`` when it has not finished."""
    summary = read_summary(run)
    if not summary.get("finished"):
        raise UserError(f"{run} has not finished; go on with `arb train-pbt --resume {run}`")
    try:
        return [int(agent) for agent in summary["ranking"]]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"is damaged: its ranking ({in_words(error)})", file=str(run / SUMMARY)) from None


def best_of(order: Sequence[int], count: int, run: Path) -> list[int]:
    """The first ``count`` agents. Raises ``UserError`` when there are fewer, or too few to vote."""
    if not 2 <= count <= len(order):
        raise UserError(f"--ensemble {count}: {run} has {len(order)} agents, and at least 2 must vote")
    return list(order[:count])
