"""`arb make-policy`: the same bundle bit for bit however it is made, selected without validation, and shipped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support_cli import arb
from support_training import write_tiny_dataset

from adapters.research.policy import run as runs
from adapters.research.policy.judging import AT_ONCE, LATE, MAIN
from adapters.research.policy.member import Member, courses_of, held_back_of, policy_of
from adapters.research.policy.plan import read_plan
from adapters.storage.array_files import read_arrays
from adapters.storage.bundles import load_bundle
from adapters.storage.trials import read_trials
from strategies.policy import logits

CONFIG = """
max_positions: 2
min_history_hours: 4
observation: {version: 2, positions: 2, opportunities: 3, wallets: true, exchanges: [binanceusdm, bybit]}
recipe:
  seeds: [0, 1]
  ships: last
  decides: first
  held_back_worlds: 2
  folds:
    - {name: first, train_to: "2024-05-08T23:00Z", judge_from: "2024-05-09T00:00Z", judge_to: "2024-05-11T00:00Z"}
    - {name: last, train_to: "2024-05-11T23:00Z", judge_from: "2024-05-12T00:00Z", judge_to: "2024-05-15T00:00Z"}
worlds: {count: 2, conditions: {maker_share: 0}}
training:
  timesteps: 64
  n_envs: 4
  episode: {length_hours: 48}
  ppo: {n_steps: 32, batch_size: 32, n_epochs: 1}
  imitation: {n_envs: 4, decisions: 12, episode_hours: 48, n_epochs: 2, batch_size: 16}
  anchor: {value_updates: 1}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policy")
    write_tiny_dataset(folder / "data")
    (folder / "recipe.yaml").write_text(CONFIG, encoding="utf-8")
    return folder


def make(place: Path, name: str, *more: object) -> Path:
    out = place / name
    assert arb("make-policy", "--data", place / "data", "--config", place / "recipe.yaml", "--out", out, *more) == 0
    return out


@pytest.fixture(scope="module")
def made(place: Path) -> Path:
    return make(place, "made", "--workers", 1)


def test_made_again_by_two_workers_the_bundle_is_the_same_bit_for_bit(place: Path, made: Path) -> None:
    again = make(place, "again", "--workers", 2)
    files = sorted(path.relative_to(made) for path in (*made.glob("bundle/*"), *made.glob("state/*")))
    assert len(files) == 2 + 8
    for file in files:
        assert (made / file).read_bytes() == (again / file).read_bytes()


def test_a_run_that_was_cut_goes_on_and_ends_the_same(
    place: Path, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = make(place, "cut", "--workers", 1)
    lost = [cut / "state" / "last-tuned-1.npz", cut / "state" / "first-tuned-0.npz", cut / "manifest.json"]
    for path in lost:
        path.unlink()
    capsys.readouterr()
    assert arb("make-policy", "--resume", cut, "--workers", 1) == 0
    told = capsys.readouterr().out
    assert "last seed 1, tuned: done" in told
    assert "last seed 0, tuned: done" not in told
    for name in ("bundle/weights.safetensors", "bundle/bundle.json"):
        assert (cut / name).read_bytes() == (made / name).read_bytes()


def test_the_shipped_policy_is_the_committee_of_the_choice(made: Path) -> None:
    results = runs.read_results(made)
    choice = results["selection"]["choice"]
    policy = load_bundle(made / "bundle").policy
    assert policy.members == 2
    members = [policy_of(made, Member("last", seed, choice)) for seed in (0, 1)]
    seen = np.random.default_rng(0).normal(0, 1, policy.spec.size).astype(np.float32)
    together = np.mean([logits(one, seen) for one in members], axis=0)
    np.testing.assert_allclose(logits(policy, seen), together, rtol=1e-5, atol=1e-6)


def test_results_have_every_fold_player_and_scenario(made: Path) -> None:
    results = runs.read_results(made)
    assert set(results["folds"]) == {"first", "last"}
    for fold in results["folds"].values():
        assert set(fold) == {"tuned", "imitation", "teacher"}
        assert all(set(scenarios) == set(MAIN) for scenarios in fold.values())
    assert set(results["held_back"]) == {"tuned", "imitation", "teacher"}
    assert set(results["held_back"]["teacher"]) == {AT_ONCE, LATE}
    assert read_trials(made / "trials.parquet").names == (
        "imitation", "tuned", "last-imitation-0", "last-imitation-1", "last-tuned-0", "last-tuned-1",
    )  # fmt: skip


def test_worlds_end_with_the_hours_to_learn_from_and_held_back_ones_are_others(made: Path) -> None:
    fold = read_plan(made).recipe.fold("last")
    own, others = courses_of(made, fold, 0), held_back_of(made, fold)
    last = int(fold.train_to.timestamp()) // 3600
    assert all(int(course.world.tape.market.hours[-1]) == last for course in (*own, *others))
    assert [course.world.settings.latency_hours for course in others] == [0, 0]
    rates = [course.world.tape.market.funding_rate for course in (*own, *others)]
    assert len({rate.tobytes() for rate in rates[1:]}) == len(rates) - 1
    assert [course.market.spec.phase for course in own] == [0, 1]


def test_the_tuned_network_began_at_the_imitation_and_moved(made: Path) -> None:
    before, after = (read_arrays(made / "state" / f"last-{name}-0.npz") for name in ("imitation", "tuned"))
    moved = [name for name in after if not np.array_equal(before[name], after[name])]
    assert any(".actor." in name for name in moved)
    assert any(".critic." in name for name in moved)


def test_deploy_writes_card_and_bundle_that_a_backtest_plays_with_its_own_slots(
    place: Path, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert arb("deploy", made, "--to", place / "shipped") == 0
    card = (place / "shipped" / "MODEL_CARD.md").read_text(encoding="utf-8")
    for words in ("Bad news first", "| week |", "| carry, tuned |", "costs doubled", "6 recorded trials", "By month"):
        assert words in card
    traded = "best_trade.svg" in card
    assert all((place / "shipped" / f"{name}_trade.svg").is_file() == traded for name in ("best", "worst"))
    assert "The months after" not in card
    # What was shipped gives way to the next one.
    later = ("--look-from", "2024-05-15T01:00Z", "--look-to", "2024-05-17T23:00Z", "--trials", made)
    assert arb("deploy", made, "--to", place / "shipped", *later) == 0
    card = (place / "shipped" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "`later`: trained to 2024-05-11T23:00Z, judged 2024-05-15 to 2024-05-17" in card
    assert "looked at once" in card
    assert "12 recorded trials" in card
    assert (place / "shipped.previous" / "MODEL_CARD.md").is_file()
    bundle = place / "shipped" / "1-made"
    assert (bundle / "weights.safetensors").read_bytes() == (made / "bundle" / "weights.safetensors").read_bytes()
    capsys.readouterr()
    run = ("backtest", "--data", place / "data", "--strategy", "ppo", "--model", bundle, "--no-report")
    assert arb(*run, "--set", "min_history_hours=4", "--out", place / "played") == 0
    manifest = json.loads((place / "played" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["settings"]["max_positions"] == 2
    assert arb(*run, "--set", "min_history_hours=4", "--set", "max_positions=3", "--out", place / "other") == 2
    assert "--set max_positions=2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("look", "told"),
    [
        (("--look-from", "2024-05-14", "--look-to", "2024-05-16"), "come after those of the recipe"),
        (("--look-from", "2024-05-16", "--look-to", "2024-05-15T01:00Z"), "come after those of the recipe"),
        (("--look-from", "2024-05-16"), "belong together"),
        (("--look-from", "2024-05-16", "--look-to", "2030-01-01"), "2024-05-18"),
    ],
)
def test_a_look_at_hours_that_are_not_later_ones_is_refused(
    place: Path, made: Path, look: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert arb("deploy", made, "--to", place / "never", *look) == 2
    assert told in capsys.readouterr().err
    assert not (place / "never").exists()


def test_what_cannot_be_made_is_said_in_one_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert arb("make-policy", "--data", place / "data", "--out", place / "none") == 2
    assert "no recipe" in capsys.readouterr().err
    late = ("--set", "recipe.folds=[]")
    assert (
        arb("make-policy", "--data", place / "data", "--config", place / "recipe.yaml", *late, "--out", place / "x")
        == 2
    )
    assert "recipe" in capsys.readouterr().err
    assert not (place / "none").exists()
    assert not (place / "x").exists()
