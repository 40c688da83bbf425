"""The search space: hyperparameters never leave it, and each moves on its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.errors import SettingsError
from engine.settings import parse_settings
from rl_training.pbt.explore import draw, explore, perturb
from rl_training.pbt.hyperparameters import settings_at
from rl_training.pbt.settings import PBTSettings, Range, SearchSpace, bounds
from rl_training.settings import PPOSettings, TrainingSettings

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def ranges(draw_from: st.DrawFn) -> Any:
    """Ranges and choices that the learning rate could have."""
    low, high = sorted((draw_from(st.floats(1e-7, 1)), draw_from(st.floats(1e-7, 1))))
    kind = draw_from(st.sampled_from(["linear", "log", "choices"]))
    if kind == "choices":
        return tuple(draw_from(st.lists(st.floats(1e-7, 1), min_size=1, max_size=5)))
    return Range(low=low, high=high, scale=kind)


@pytest.mark.trap(19)
@given(dimension=ranges(), seed=SEEDS, factors=st.lists(st.floats(0.01, 100), min_size=1, max_size=3))
def test_trap_19_hyperparameters_never_leave_their_ranges(dimension: Any, seed: int, factors: list[float]) -> None:
    space = SearchSpace(learning_rate=dimension)
    settings = PBTSettings(search=space, perturbation_factors=tuple(factors), mutation_rate=0.3)
    rng = np.random.default_rng(seed)
    point = draw(space, rng)
    for _ in range(6):
        for name, allowed in space.dimensions().items():
            low, high = bounds(allowed)
            assert low <= point[name] <= high
            assert isinstance(allowed, Range) or point[name] in allowed
        PPOSettings(**point)
        point = explore(point, settings, rng)


@pytest.mark.trap(19)
def test_trap_19_hyperparameters_do_not_all_move_by_one_factor() -> None:
    settings = PBTSettings(mutation_rate=0.0)
    start = {"learning_rate": 1e-4, "gamma": 0.97, "gae_lambda": 0.94, "ent_coef": 0.03, "clip_range": 0.2}
    moves = set()
    for seed in range(40):
        after = explore(start, settings, np.random.default_rng(seed))
        moves.add((after["learning_rate"] > 1e-4, after["ent_coef"] > 0.03, after["clip_range"] > 0.2))
        assert after["learning_rate"] in (pytest.approx(0.8e-4), pytest.approx(1.2e-4))
        assert after["gamma"] in (0.95, 0.99)
    assert len(moves) == 8


def test_the_mutation_rate_is_the_share_of_new_draws() -> None:
    settings = PBTSettings(mutation_rate=0.2)
    start = {"learning_rate": 1e-4, "gamma": 0.97, "gae_lambda": 0.94, "ent_coef": 0.03, "clip_range": 0.2}
    rng = np.random.default_rng(0)
    moved = [explore(start, settings, rng)["learning_rate"] for _ in range(2000)]
    perturbed = np.isclose(moved, 0.8e-4) | np.isclose(moved, 1.2e-4)
    assert 0.17 < 1 - perturbed.mean() < 0.23


def test_the_learning_rate_is_drawn_log_uniformly() -> None:
    rng = np.random.default_rng(1)
    drawn = [draw(SearchSpace(), rng)["learning_rate"] for _ in range(2000)]
    assert 0.46 < np.mean(np.array(drawn) < 1e-4) < 0.54


@pytest.mark.parametrize(
    ("value", "factor", "expected"),
    [(0.97, 1.2, 0.99), (0.97, 0.8, 0.95), (0.995, 1.2, 0.995), (0.95, 0.8, 0.95), (0.96, 1.2, 0.97)],
)
def test_a_choice_moves_to_its_neighbour(value: float, factor: float, expected: float) -> None:
    assert perturb(value, (0.99, 0.95, 0.995, 0.97), factor) == expected


def test_a_single_choice_holds_a_hyperparameter_fixed() -> None:
    space = SearchSpace(gamma=(0.98,))
    rng = np.random.default_rng(0)
    point = draw(space, rng)
    for _ in range(10):
        assert point["gamma"] == 0.98
        point = explore(point, PBTSettings(search=space), rng)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"gamma": [1.5]}, "gamma"),
        ({"learning_rate": {"low": 0.0, "high": 0.1}}, "learning_rate"),
        ({"learning_rate": {"low": 0.2, "high": 0.1}}, "low 0.2 lies above high 0.1"),
        ({"ent_coef": {"low": 0.0, "high": 0.1, "scale": "log"}}, "starts above zero"),
        ({"gamma": []}, "gamma"),
        ({"momentum": [1.0]}, "unknown key"),
        ({"anchor_kl_coef": [-0.1]}, "kl_coef"),
        ({"augmented_share": {"low": 0.5, "high": 1.5}}, "augmented_share"),
        ({"closed_price_pnl": [0, 0.5]}, "closed_price_pnl is 0 .* or 1"),
        ({"closed_price_pnl": {"low": 0, "high": 1}}, "closed_price_pnl"),
    ],
)
def test_a_search_space_that_ppo_would_refuse_is_refused(values: dict[str, Any], match: str) -> None:
    with pytest.raises(SettingsError, match=match):
        parse_settings(SearchSpace, values)


def test_settings_out_of_range_are_refused() -> None:
    for wrong in ({"population": 0}, {"mutation_rate": 1.1}, {"exploit_fraction": 0.6}, {"perturbation_factors": []}):
        with pytest.raises(ValidationError):
            PBTSettings(**wrong)


MORE: dict[str, Any] = {
    "anchor_kl_coef": Range(low=0.01, high=1, scale="log"),
    "augmented_share": (0.25, 0.5),
    "closed_price_pnl": (0, 1),
}


def test_what_is_not_asked_for_is_not_tuned_and_changes_no_draw() -> None:
    """The numbers of runs from before there were more dimensions."""
    before = {
        "learning_rate": 0.00018789852661499492, "gamma": 0.99, "gae_lambda": 0.9036876171542575,
        "ent_coef": 0.01148748719756762, "clip_range": 0.34398107176008175,
    }  # fmt: skip
    assert draw(SearchSpace(), np.random.default_rng(0)) == before
    more = draw(SearchSpace(**MORE), np.random.default_rng(0))
    assert {name: more[name] for name in before} == before
    assert set(more) == {*before, *MORE}


def test_a_point_stands_for_settings_of_ppo_the_anchor_and_the_reward() -> None:
    training = TrainingSettings()
    point = {"gamma": 0.9, "anchor_kl_coef": 0.3, "augmented_share": 0.25, "closed_price_pnl": 1.0}
    found = settings_at(training, point)
    assert (found.ppo.gamma, found.anchor.kl_coef, found.anchor.augmented_share) == (0.9, 0.3, 0.25)
    assert (found.reward.price_pnl, settings_at(found, {"closed_price_pnl": 0.0}).reward.price_pnl) == (
        "closed", "marked",
    )  # fmt: skip
    assert found.anchor.softening == training.anchor.softening
    assert settings_at(training, {"gamma": training.ppo.gamma}) == training


@given(seed=SEEDS)
def test_every_point_of_more_dimensions_is_one_that_training_takes(seed: int) -> None:
    rng, settings = np.random.default_rng(seed), PBTSettings(search=SearchSpace(**MORE))
    point = draw(settings.search, rng)
    for _ in range(4):
        found = settings_at(TrainingSettings(), point)
        assert TrainingSettings.model_validate(found.model_dump()) == found
        point = explore(point, settings, rng)
