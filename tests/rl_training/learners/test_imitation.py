"""Imitation: it learns what it is shown, the same each time; trades weigh more; softening moves no best action."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from support_structured import SPEC, market, network, observations

from engine.errors import ArbError
from rl_training.environments.demonstrations import Demonstrations
from rl_training.learners.extraction import policy_layers
from rl_training.learners.imitation import Agreement, agreement, entropy, imitate, new_network, soften
from rl_training.learners.structured import StructuredPolicy
from rl_training.settings import ImitationSettings
from strategies.policy import Policy, best_action

QUICK = ImitationSettings(n_epochs=12, batch_size=64)
WIDTH = 64
BEST = 5
"""Place among the values of a candidate by which the teacher of these tests chooses."""


def lesson(count: int = 1500, seed: int = 0) -> Demonstrations:
    """Enter the candidate with the highest value, where it is high and a slot is free; leave what is bad."""
    rng = np.random.default_rng(seed)
    seen = rng.normal(0, 1, (count, SPEC.size)).astype(np.float32)
    mask = rng.random((count, SPEC.actions)) < 0.7
    mask[:, 0] = True
    seen[:, -SPEC.actions :] = mask
    slots = seen[:, SPEC.widths.portfolio : SPEC.first_opportunity].reshape(count, SPEC.positions, -1)
    bad = (slots[:, :, BEST] < -1.2) & mask[:, 1 + SPEC.opportunities :]
    offered = seen[:, SPEC.first_opportunity : -SPEC.actions].reshape(count, SPEC.opportunities, -1)[:, :, BEST]
    worth = np.where(mask[:, 1 : 1 + SPEC.opportunities], offered, -np.inf)
    enter = np.where(worth.max(axis=1) > 1.5, 1 + worth.argmax(axis=1), 0)
    actions = np.where(bad.any(axis=1), 1 + SPEC.opportunities + bad.argmax(axis=1), enter)
    return Demonstrations(seen, actions, 0)


def fitted(seed: int = 0, **more: float) -> StructuredPolicy:
    torch.set_num_threads(1)
    policy = new_network(market(), seed=seed, width=WIDTH)
    imitate(policy, lesson(), QUICK.model_copy(update=more), seed=seed)
    return policy


@pytest.fixture(scope="module")
def pupil() -> StructuredPolicy:
    return fitted()


def test_it_learns_what_it_is_shown_and_not_only_that(pupil: StructuredPolicy) -> None:
    assert agreement(new_network(market(), seed=0), lesson()).recall < 0.1
    own, others = agreement(pupil, lesson()), agreement(pupil, lesson(seed=9))
    assert own.recall > 0.95
    assert others.recall > 0.7
    assert others.false_trades < 0.1


def test_only_the_actor_is_fitted(pupil: StructuredPolicy) -> None:
    before, after = new_network(market(), seed=0, width=WIDTH).state_dict(), pupil.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if ".actor." in name}


def test_the_same_seed_learns_the_same_bits_and_another_others(pupil: StructuredPolicy) -> None:
    def weights(policy: StructuredPolicy) -> bytes:
        return b"".join(matrix.tobytes() for matrix in policy_layers(policy)[0])

    assert weights(fitted()) == weights(pupil) != weights(fitted(1))


def test_losses_fall_and_are_means_by_weight() -> None:
    policy = new_network(market(), seed=0, width=WIDTH)
    losses = imitate(policy, lesson(), QUICK, seed=0)
    assert len(losses) == QUICK.n_epochs
    assert losses[-1] < 0.2 * losses[0]


def test_trades_weigh_more() -> None:
    light, heavy = (fitted(n_epochs=2, trade_weight=weight) for weight in (0.1, 10.0))
    found = [agreement(policy, lesson(seed=9)) for policy in (light, heavy)]
    assert found[1].recall > found[0].recall + 0.1
    assert found[1].false_trades > found[0].false_trades


def test_the_learning_rate_falls_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    plain = torch.optim.Adam.step

    def step(adam: torch.optim.Adam, *more: object) -> object:
        rates.append(adam.param_groups[0]["lr"])
        return plain(adam, *more)

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    imitate(new_network(market(), seed=0, width=8), lesson(300), QUICK, seed=0)
    # Five minibatches an epoch, the last of them smaller.
    np.testing.assert_allclose(rates, 2e-3 * (1 - np.arange(60) / 60))


def test_agreement_counts_what_it_says() -> None:
    policy = network(1, spread=0.5)
    seen = observations()
    best = policy.predict(seen, deterministic=True)[0]
    assert set(best.tolist()) > {0}
    same = agreement(policy, Demonstrations(seen, best, 0))
    assert same == Agreement(len(seen), int((best > 0).sum()), 1.0, 0.0)
    holds = agreement(policy, Demonstrations(seen, np.zeros_like(best), 0))
    assert np.isnan(holds.recall)
    assert holds.false_trades == pytest.approx((best > 0).mean())
    assert holds.trades == 0
    other = np.where(best > 0, best % (SPEC.actions - 1) + 1, 0)
    assert agreement(policy, Demonstrations(seen, other, 0)).recall == 0.0


def test_softening_keeps_the_best_actions_and_lets_others_be_drawn(pupil: StructuredPolicy) -> None:
    seen = lesson(seed=9)
    before, sharp = pupil.predict(seen.observations, deterministic=True)[0], entropy(pupil, seen)
    soft = deepcopy(pupil)
    soften(soft, 4.0)
    with torch.no_grad():
        logits = pupil.network.forward_actor(torch.from_numpy(seen.observations))
        softened = soft.network.forward_actor(torch.from_numpy(seen.observations))
    allowed = seen.observations[:, -SPEC.actions :] > 0
    np.testing.assert_allclose(softened.numpy()[allowed], logits.numpy()[allowed] / 4, rtol=1e-4, atol=1e-5)
    assert soft.predict(seen.observations, deterministic=True)[0].tolist() == before.tolist()
    assert entropy(soft, seen) > 2 * sharp
    # The entropy that stable-baselines3 sees.
    with torch.no_grad():
        its = soft.get_distribution(torch.from_numpy(seen.observations)).entropy()
    assert entropy(soft, seen) == pytest.approx(float(its.mean()), rel=1e-4)


def test_what_was_fitted_is_what_is_deployed(pupil: StructuredPolicy) -> None:
    from support_structured import COSTS, NO_SCALER

    policy = Policy("pupil", SPEC, NO_SCALER, *policy_layers(pupil), COSTS, "structured")
    seen = lesson(200, seed=4).observations
    assert [best_action(policy, row) for row in seen] == pupil.predict(seen, deterministic=True)[0].tolist()


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    shown = lesson(100)
    shown.observations[3, 2] = np.nan
    with pytest.raises(ArbError, match="imitation: loss nan in epoch 1"):
        imitate(new_network(market(), seed=0), shown, QUICK, seed=0)
