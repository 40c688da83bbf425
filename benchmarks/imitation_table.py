"""A structured policy fitted to the rule week, beside its teacher, on hours it has not seen: mean over the phases of
the clock with the worst phase in brackets, filled at once and one hour late. As Markdown.

    python benchmarks/imitation_table.py DATASET --train-to 2025-01-31T23:00Z \
        --from 2025-02-03T00:00Z --to 2025-03-31T23:00Z [--slots 2] [--seeds 0 1 2] [--out FOLDER]

Demonstrations come from all phases, from the first hour of the data to ``--train-to``; another set of them, from other
random windows of the same hours, says how often the policy does what its teacher does. ``--out`` gets a bundle a seed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from adapters.commands.hours import hour
from adapters.configuration.settings import ArbSettings, load_settings
from adapters.datasets.load import load_dataset
from adapters.reporting.policy_table import cell
from adapters.research.markets import prepare_dataset, window_of
from adapters.research.phases import at_phases, mean_over_phases
from adapters.research.players import Player, make_player, policy_player
from adapters.research.playing import play
from adapters.storage.bundles import save_bundle
from engine.analysis.metrics import Metrics
from engine.observation.encoding import ObservationSpec, fit_scaler
from engine.windows import Window
from engine.worlds import World
from rl_training.environments.demonstrations import Demonstrations, at_phase, demonstrations
from rl_training.environments.episodes import TrainingMarket
from rl_training.learners.extraction import policy_layers
from rl_training.learners.imitation import agreement, entropy, imitate, new_network, soften
from rl_training.settings import ImitationSettings
from strategies.plugin import Context
from strategies.policy import Policy
from strategies.week import Week, WeekParameters

TEACHER = "week"
SOFTENED = 4.0


class Taught(NamedTuple):
    """A world, and the hours of it that may be learned from."""

    world: World[ArbSettings]
    market: TrainingMarket


def shown_by(taught: Sequence[Taught], settings: ImitationSettings, seed: int) -> Demonstrations:
    """The teacher at every phase, in equal parts, the worlds in turn."""
    phases = taught[0].market.spec.decide_every_hours
    parts = []
    for phase in range(phases):
        world, market = taught[phase % len(taught)]
        rng = np.random.default_rng([seed, phase])
        parameters = {**world.settings.strategies.get(TEACHER, {}), "phase": phase, "every_hours": phases}
        teacher = Week(WeekParameters(**parameters), Context(rng))
        parts.append(
            demonstrations(
                teacher, world, at_phase(market, phase), rng, portfolios=max(1, settings.n_envs // phases),
                decisions=settings.decisions, episode_hours=settings.episode_hours,
                random_share=settings.random_share,
            )
        )  # fmt: skip
    return Demonstrations.joined(parts)


def measured(players: dict[int, Player], world: World[ArbSettings], window: Window) -> Metrics:
    return mean_over_phases({phase: play(one, world, window).metrics for phase, one in players.items()})


def row(name: str, players: dict[int, Player], world: World[ArbSettings], window: Window) -> str:
    worlds = (world, world.late(), world.dearer(2))
    found = [measured(players, one, window) for one in worlds]
    return f"| {name} | {' | '.join(map(cell, found))} | {found[0]['trades']:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--train-to", required=True)
    parser.add_argument("--from", dest="start", required=True)
    parser.add_argument("--to", dest="end", required=True)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--decisions", type=int, default=ImitationSettings().decisions)
    parser.add_argument("--costs", nargs="+", type=float, default=[1.0], help="multiples at which it is shown")
    parser.add_argument("--random", type=float, default=ImitationSettings().random_share)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    fraction = f"position_fraction={1 / asked.slots}"
    settings = load_settings(None, [f"max_positions={asked.slots}", fraction])
    data = load_dataset(asked.dataset, settings.gate)
    world = prepare_dataset(data, settings)
    trained, judged = (window_of(data, *span) for span in (
        (None, hour(asked.train_to)), (hour(asked.start), hour(asked.end)),
    ))  # fmt: skip
    spec = ObservationSpec(version=2, positions=asked.slots, exchanges=tuple(data.market.exchanges))
    scaler = fit_scaler(world, spec, trained.first, trained.last)

    def taught(multiple: float) -> Taught:
        one = world if multiple == 1 else world.dearer(multiple)
        return Taught(one, TrainingMarket.over(one, spec, scaler, trained.first, trained.last))

    own = taught(1.0)
    lessons = [own if multiple == 1 else taught(multiple) for multiple in asked.costs]
    market = own.market
    chosen, rows = ImitationSettings(decisions=asked.decisions, random_share=asked.random), []
    for seed in asked.seeds:
        began = time.perf_counter()
        shown, held_back = shown_by(lessons, chosen, 1000 + seed), shown_by([own], chosen, 2000 + seed)
        collected = time.perf_counter()
        network = new_network(market, seed=seed)
        losses = imitate(network, shown, chosen, seed=seed)
        fitted = time.perf_counter()
        sharp = entropy(network, held_back)
        print(f"seed {seed}: {len(shown.actions):,} decisions in {(collected - began) / 2:.1f} s, ", end="")
        print(f"fitted in {fitted - collected:.1f} s, loss {losses[0]:.4f} to {losses[-1]:.5f}, ", end="")
        print(f"{shown.unshown} of its trades not shown")
        for what, of in (("demonstrations", shown), ("others", held_back)):
            found = agreement(network, of)
            print(f"  {what}: {found.trades:,} trades, recall {found.recall:.3f}, ", end="")
            print(f"false trades {100 * found.false_trades:.2f} %")
        soften(network, SOFTENED)
        print(f"  entropy {sharp:.4f}, softened {entropy(network, held_back):.4f}", flush=True)
        costs = settings.cost_table_hash()
        policy = Policy(f"imitation-{seed}", spec, scaler, *policy_layers(network), costs, "structured")
        if asked.out:
            save_bundle(policy, {"dataset_fingerprint": data.fingerprint}, asked.out / policy.name)
        rows.append(row(policy.name, at_phases(policy_player(policy)), world, judged))
    print("\n| % per 7 days | at once | 1 h late | costs x2 | trades |\n|---|---|---|---|---|")
    print(row(TEACHER, at_phases(make_player(TEACHER, settings.strategies.get(TEACHER, {}))), world, judged))
    print("\n".join(rows), flush=True)


if __name__ == "__main__":
    main()
