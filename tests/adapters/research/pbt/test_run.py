"""``arb train-pbt`` from end to end: what it leaves, and that neither kills nor the number of workers change it."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from stable_baselines3 import PPO
from support_cli import arb
from support_training import rewrite, tiny, write_tiny_dataset
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from adapters.reporting.pbt_console import Narrator
from adapters.research.pbt.campaign import train_population
from adapters.research.pbt.job import read_job
from adapters.research.pbt.state_folder import StateFolder
from adapters.research.pbt.training_markets import training_markets_of
from adapters.research.pbt.tried import trial_name
from adapters.storage.bundles import load_bundle
from adapters.storage.pbt_names import JOB
from adapters.storage.trials import read_trials, summarise
from engine.analysis.statistics import backtest_overfitting, deflated_sharpe, sharpe
from engine.errors import DataError

AGENTS, ITERATIONS, STEPS = 3, 3, 256
OPTIONS = ("--population", AGENTS, "--timesteps", 300, "--perturbation-interval", 100, "--seed", 7)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_dataset(tmp_path_factory.mktemp("data") / "tiny")


def train(data: Path, out: Path, *more: object) -> int:
    return arb("train-pbt", "--data", data, *OPTIONS, *tiny(), "--out", out, *more)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed, with two workers."""
    folder = tmp_path_factory.mktemp("run") / "straight"
    assert train(data, folder, "--workers", 2) == 0
    return folder


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def assert_same_outcome(one: Path, other: Path) -> None:
    """Every score, every copy and every last bit of every agent."""
    for name in (
        "training_summary.json",
        "lineage.json",
        "trials.parquet",
        *(f"agent_{k}_hyperparams.json" for k in range(AGENTS)),
    ):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    states = StateFolder(one / "state"), StateFolder(other / "state")
    for agent in range(AGENTS):
        first, second = (state.checkpoint(ITERATIONS, agent) for state in states)
        assert first.keys() == second.keys()
        for name, value in first.items():
            np.testing.assert_array_equal(value, second[name], err_msg=f"agent {agent}: {name}")
    assert (one / "bundle" / "weights.safetensors").read_bytes() == (
        other / "bundle" / "weights.safetensors"
    ).read_bytes()


def test_what_a_run_leaves(run: Path) -> None:
    names = {path.name for path in run.iterdir()}
    agents = {f"agent_{k}_{what}" for k in range(AGENTS) for what in ("model.zip", "hyperparams.json")}
    files = {"training_summary.json", "lineage.json", "pbt.html", "manifest.json", "pbt_training_log.txt", JOB}
    files |= {"trials.parquet"}
    assert names == agents | files | {"bundle", "state", "tensorboard", ".lock"}
    assert not list(run.rglob("*.tmp"))
    kept = sorted(path.name for path in (run / "state").rglob("*.npz"))
    assert kept == [f"agent_{k}.npz" for k in range(AGENTS)]


def test_the_summary_holds_every_agent_and_iteration(run: Path) -> None:
    summary = load(run / "training_summary.json")
    results = summary["results"]
    assert [(one["iteration"], one["agent"]) for one in results] == [
        (i, k) for i in range(1, ITERATIONS + 1) for k in range(AGENTS)
    ]
    assert [one["steps"] for one in results] == [64] * 3 + [192] * 3 + [256] * 3
    assert (summary["steps_asked"], summary["steps_made"], summary["finished"]) == (300, STEPS, True)
    copied = [(one["iteration"], one["agent"], one["parent"]) for one in results if one["parent"] != one["agent"]]
    lineage = load(run / "lineage.json")
    assert [(copy["iteration"] + 1, copy["agent"], copy["source"]) for copy in lineage["copies"]] == copied
    assert len(copied) == ITERATIONS - 1
    last = {one["agent"]: one["fitness"] for one in results[-AGENTS:]}
    assert summary["ranking"] == sorted(last, key=lambda agent: (-last[agent], agent))
    assert summary["winner"] == summary["ranking"][0]
    check = summary["reward_check"]
    pairs = np.array([(one["reward"], one["metrics"]["pnl_pct"]) for one in results])
    assert (check["results"], len(check["by_iteration"])) == (AGENTS * ITERATIONS, ITERATIONS)
    assert check["rank_correlation"] == pytest.approx(spearmanr(pairs[:, 0], pairs[:, 1]).statistic, abs=1e-12)
    log = (run / "pbt_training_log.txt").read_text(encoding="utf-8")
    assert f"over 9 scores: {check['rank_correlation']:+.3f}" in log


def test_the_worst_of_each_iteration_copies_the_best(run: Path) -> None:
    results = load(run / "training_summary.json")["results"]
    for iteration in range(1, ITERATIONS):
        scores = {one["agent"]: one["fitness"] for one in results if one["iteration"] == iteration}
        order = sorted(scores, key=lambda agent: (-scores[agent], agent))
        after = {one["agent"]: one["parent"] for one in results if one["iteration"] == iteration + 1}
        assert after == {agent: order[0] if agent == order[-1] else agent for agent in scores}


def test_agents_open_in_stable_baselines3_with_their_hyperparameters(run: Path) -> None:
    for agent in range(AGENTS):
        opened = PPO.load(run / f"agent_{agent}_model.zip", device="cpu")
        values = load(run / f"agent_{agent}_hyperparams.json")
        for name in ("learning_rate", "gamma", "gae_lambda", "ent_coef"):
            assert getattr(opened, name) == values["tuned"][name] == values["ppo"][name]
        assert opened.clip_range(1.0) == values["tuned"]["clip_range"]
        assert opened.num_timesteps == values["steps"] == STEPS


def test_the_bundle_is_the_winner_and_plays_as_it_was_scored(run: Path, data: Path, tmp_path: Path) -> None:
    winner = load(run / "training_summary.json")["winner"]
    bundle = load_bundle(run / "bundle")
    actor = PPO.load(run / f"agent_{winner}_model.zip", device="cpu").policy.action_net.weight.detach().numpy()
    np.testing.assert_array_equal(bundle.policy.weights[-1].T, actor)
    scored = load(run / f"agent_{winner}_hyperparams.json")["metrics"]
    assert bundle.meta["metrics"]["validation"] == scored
    options = ("--data", data, "--window", "validation", "--set", "min_history_hours=4", "--out", tmp_path / "out")
    assert arb("backtest", "--strategy", "ppo", "--model", run / "bundle", *options) == 0
    played = load(tmp_path / "out" / "metrics.json")
    assert {name: played[name] for name in scored} == scored


def test_every_score_is_recorded_by_hour(run: Path) -> None:
    record, results = read_trials(run / "trials.parquet"), load(run / "training_summary.json")["results"]
    assert len(record.names) == len(results) == AGENTS * ITERATIONS
    assert (record.start, record.end) == (read_job(run / JOB).validate_from, read_job(run / JOB).validate_to)
    for result in results:
        name = trial_name(result["iteration"], result["agent"])
        grown = 100 * (np.prod(1 + record.returns[:, record.names.index(name)]) - 1)
        assert grown == pytest.approx(result["metrics"]["pnl_pct"], abs=1e-10)
    assert len({tuple(column) for column in record.returns.T}) > 1


def test_the_bundle_tells_a_backtest_how_many_trials_it_was_chosen_from(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = load(run / "manifest.json")["trials"]
    assert kept["count"] == AGENTS * ITERATIONS
    assert kept["dataset_fingerprint"] == read_job(run / JOB).fingerprint
    assert load_bundle(run / "bundle").meta["training"]["trials"] == kept
    away = tmp_path / "bundle"  # without the run's folder around it
    shutil.copytree(run / "bundle", away)
    options = ("--data", data, "--set", "min_history_hours=4", "--strategy", "ppo", "--model", away)
    assert arb("backtest", *options, "--window", "validation", "--out", tmp_path / "chosen") == 0
    assert "how much may be luck" in capsys.readouterr().out
    found = load(tmp_path / "chosen" / "significance.json")
    record = read_trials(run / "trials.parquet")
    ratios = sharpe(record.returns.T)
    returns = record.returns[:, record.names.index(trial_name(ITERATIONS, load(run / "manifest.json")["winner"]))]
    expected = deflated_sharpe(returns, float(ratios.std(ddof=1)), AGENTS * ITERATIONS)
    assert expected is not None
    assert found["deflated_sharpe"] == pytest.approx(expected.probability)
    assert found["pbo"] == backtest_overfitting(record.returns).probability
    assert found["pnl_pct"] == pytest.approx(100 * (np.prod(1 + returns) - 1), abs=1e-10)
    assert found["trials_reason"] is None
    assert arb("backtest", *options, "--window", "train", "--out", tmp_path / "elsewhere") == 0
    assert "other hours" in load(tmp_path / "elsewhere" / "significance.json")["trials_reason"]
    old = json.loads((away / "bundle.json").read_text())
    del old["training"]["trials"], old["checksum"]  # as a version before trials and seals wrote it
    old["format"] = 1
    (away / "bundle.json").write_text(json.dumps(old))
    assert arb("backtest", *options, "--window", "validation", "--out", tmp_path / "old") == 0
    without = load(tmp_path / "old" / "significance.json")
    assert (without["deflated_sharpe"], without["deflated_sharpe_reason"]) == (None, "no record of trials")
    old["training"]["trials"] = {"count": "many"}
    (away / "bundle.json").write_text(json.dumps(old))
    assert arb("backtest", *options, "--window", "validation", "--out", tmp_path / "broken") == 2
    assert "training.trials" in capsys.readouterr().err


def test_the_manifest_names_machine_budget_and_windows(run: Path) -> None:
    manifest = load(run / "manifest.json")
    assert manifest["machine"]["processor"]
    assert {"torch", "numpy", "stable-baselines3"} <= set(manifest["machine"]["libraries"])
    assert manifest["search_budget"] == {"agents": AGENTS, "scores_on_validation": AGENTS * ITERATIONS}
    assert manifest["schedule"]["steps_made"] == STEPS
    job = read_job(run / JOB)
    assert manifest["windows"]["validate_from"] == job.validate_from.isoformat()
    assert job.train_to < job.validate_from


def test_tensorboard_has_the_scalars_of_each_agent(run: Path) -> None:
    summary = load(run / "training_summary.json")["results"]
    for agent in range(AGENTS):
        events = EventAccumulator(str(run / "tensorboard" / f"agent_{agent}"))
        events.Reload()
        found = [(event.step, event.value) for event in events.Scalars("validation/fitness")]
        expected = [(one["steps"], pytest.approx(one["fitness"])) for one in summary if one["agent"] == agent]
        assert found == expected
        assert len(events.Scalars("train/value_loss")) >= ITERATIONS


def test_a_person_sees_iterations_tables_and_copies(run: Path) -> None:
    log = (run / "pbt_training_log.txt").read_text(encoding="utf-8")
    for iteration in range(1, ITERATIONS + 1):
        assert f"ITERATION {iteration}/{ITERATIONS}\n" in log
    assert log.count("ID  Reward") == ITERATIONS
    assert "3 agents x 256 steps (300 asked; rollouts of 64 are whole)" in log
    copy = load(run / "lineage.json")["copies"][0]
    assert f"Agent {copy['agent']} copies agent {copy['source']}: lr=" in log
    assert "Winner: agent" in log


def test_a_seed_repeats_a_run_whatever_the_number_of_workers(run: Path, data: Path, tmp_path: Path) -> None:
    assert train(data, tmp_path / "again", "--workers", 1) == 0
    assert_same_outcome(run, tmp_path / "again")


@pytest.mark.slow
def test_a_run_that_is_killed_and_resumed_ends_the_same(run: Path, data: Path, tmp_path: Path) -> None:
    """Two kills at moments that nobody chose."""
    folder, chance = tmp_path / "killed", random.Random(time.time_ns())
    words = ["--data", data, *OPTIONS, *tiny(), "--out", folder, "--workers", "2"]
    for _ in range(2):
        before = sorted(folder.glob("state/*/*.json"))
        _start_and_kill(words, folder, len(before) + chance.randrange(0, 4), chance.uniform(0, 0.3))
        words = ["--resume", folder, "--workers", "2"]
    assert arb("train-pbt", "--resume", folder, "--workers", 2) == 0
    assert_same_outcome(run, folder)


def _start_and_kill(words: list[object], folder: Path, results: int, more_seconds: float) -> None:
    """Kill the command, without warning, some moments after the folder holds so many results (or it has ended)."""
    program = [sys.executable, "-c", "from adapters.cli import main; main()", "train-pbt", *map(str, words)]
    process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def is_early() -> bool:
        # Before the job is written there is no run yet, and nothing to resume.
        return not (folder / JOB).exists() or len(sorted(folder.glob("state/*/*.json"))) < results

    while process.poll() is None and is_early():
        time.sleep(0.01)  # polls another process's files; nothing is asserted on the time it takes
    try:
        process.wait(more_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    process.wait()


@pytest.mark.trap(22)
def test_trap_22_a_run_whose_workers_are_killed_ends_the_same(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "deaths"
    folder.mkdir()
    (folder / JOB).write_bytes((run / JOB).read_bytes())
    job = read_job(folder / JOB)
    narrator = Killer(folder / "pbt_training_log.txt", job.schedule, AGENTS, None)
    with training_markets_of(folder, job):
        iterations = train_population(job, folder, 1, narrator)
    assert not (folder / "courses").exists()
    assert len(iterations) == ITERATIONS
    assert narrator.deaths == 2
    expected = load(run / "training_summary.json")["results"]
    found = [one.results[agent].fitness for one in iterations for agent in range(AGENTS)]
    assert found == [one["fitness"] for one in expected]
    log = (folder / "pbt_training_log.txt").read_text(encoding="utf-8")
    assert "A worker died while training agent" in log
    assert "SIGKILL" in log
    assert "Deaths so far: 2" in log


class Killer(Narrator):
    """Kills the worker that speaks, the first two times that one is in the middle of an interval."""

    def progressed(self, agent: int, steps: int) -> None:
        super().progressed(agent, steps)
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text(encoding="utf-8").split()
        if self.deaths < 2 and steps == 128:
            for child in children:
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(int(child), signal.SIGKILL)


def test_resuming_a_finished_run_changes_nothing(run: Path) -> None:
    before = (run / "training_summary.json").read_bytes(), (run / "bundle" / "weights.safetensors").read_bytes()
    assert arb("train-pbt", "--resume", run) == 0
    after = (run / "training_summary.json").read_bytes(), (run / "bundle" / "weights.safetensors").read_bytes()
    assert before == after


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--resume", "nowhere"], "job.json"),
        (["--data", "{data}", "--validate-to", "2024-05-17T12:00Z"], "test starts at"),
        (["--data", "{data}", "--train-to", "2024-05-15T00:00Z"], "validation starts at"),
        (["--data", "{data}", "--perturbation-interval", "10"], "perturbation_interval"),
        (["--data", "{data}", "--set", "training.n_envs=7"], "multiple of training.n_envs"),
        (["--data", "{data}", "--set", "observation.positions=2"], "max_positions"),
        (["--data", "{data}", "--set", "pbt.mutation=0.1"], "did you mean 'pbt.mutation_rate'"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    options: list[str], message: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [option.format(data=data) for option in options]
    before = [] if "--resume" in words else [*OPTIONS, *tiny(), "--out", tmp_path / "out"]
    assert arb("train-pbt", *before, *words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_results_of_another_version_are_refused(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "altered"
    folder.mkdir()
    shutil.copyfile(run / JOB, folder / JOB)
    rewrite(folder / JOB, seed=8)
    for path in run.glob("state/iteration_001/*"):
        target = folder / path.relative_to(run)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    job = read_job(folder / JOB)
    with pytest.raises(DataError, match="other hyperparameters than this version chooses"):
        train_population(job, folder, 1, Narrator(folder / "log", job.schedule, AGENTS, None))


def test_a_score_without_its_returns_is_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(run, folder)
    path = folder / "state" / f"iteration_{ITERATIONS:03d}" / "agent_1.npy"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"agent_1\.npy.*no readable returns"):
        StateFolder(folder / "state").returns(ITERATIONS, 1)
    path.unlink()
    assert arb("train-pbt", "--resume", folder) == 2
    assert "agent_1.npy" in capsys.readouterr().err


def test_a_run_without_job_or_under_way_is_not_touched(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from adapters.storage.folder_lock import FolderLock

    with FolderLock(run):
        assert arb("train-pbt", "--resume", run) == 2
    assert f"{run} is in use by another process" in capsys.readouterr().err


def test_evaluation_of_a_run_equals_its_own_scores(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = (run / "looks.jsonl").read_text().count("\n") if (run / "looks.jsonl").exists() else 0
    assert arb("evaluate", run, "--data", data, "--ensemble", 2, "--fills-late", "--out", tmp_path / "out") == 0
    table = pd.read_csv(tmp_path / "out" / "evaluation.csv")
    summary = load(run / "training_summary.json")
    final = {one["agent"]: one for one in summary["results"] if one["iteration"] == ITERATIONS}
    for place, agent in enumerate(summary["ranking"]):
        assert table["model"][place].endswith(f"agent_{agent}_model.zip")
        assert table["pnl_pct"][place] == final[agent]["metrics"]["pnl_pct"]
        assert table["reward"][place] == pytest.approx(final[agent]["reward"])
    assert table["model"].tolist()[AGENTS:] == [
        f"{run}: vote of agents {summary['ranking'][0]}, {summary['ranking'][1]}", "hold", "greedy", "carry", "basis",
    ]  # fmt: skip
    written = {path.name for path in (tmp_path / "out").glob("evaluation_trades_*.csv")}
    assert {"evaluation_trades_agent_0.csv", "evaluation_trades_carry.csv"} <= written
    winner_trades = pd.read_csv(tmp_path / "out" / f"evaluation_trades_agent_{summary['winner']}.csv")
    assert len(winner_trades) == final[summary["winner"]]["metrics"]["trades"]
    assert (run / "looks.jsonl").read_text().count("\n") == looks + AGENTS + 1
    assert "best trades of 1" in capsys.readouterr().out


def test_an_ensemble_needs_a_run_with_so_many_agents(run: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert arb("evaluate", run, "--data", data, "--ensemble", 9) == 2
    assert "has 3 agents" in capsys.readouterr().err
    assert arb("evaluate", run / "bundle", "--data", data, "--ensemble", 2, *tiny()) == 2
    assert "--ensemble lets the best agents of a run vote" in capsys.readouterr().err


def test_deploying_ships_the_winner_with_a_card_and_can_be_taken_back(run: Path, data: Path, tmp_path: Path) -> None:
    shipped, previous = tmp_path / "deployed", tmp_path / "deployed.previous"
    summary = load(run / "training_summary.json")
    assert arb("deploy", run, "--to", shipped) == 0
    (bundle,) = shipped.glob("*/bundle.json")
    assert load(bundle)["agent"] == summary["winner"]
    assert str(data) not in bundle.read_text().replace(load(bundle)["training"]["command"], "")
    card = (shipped / "MODEL_CARD.md").read_text(encoding="utf-8")
    for part in (
        "Data and windows",
        "Costs",
        "Search budget",
        "How much may be luck",
        "| carry | 1 h late |",
        "| costs doubled |",
        "not known",
    ):
        assert part in card
    assert "Network [16, 8], tanh. Observation v1" in card
    assert "ranked by `fund_apr`." in card
    assert f"{AGENTS * ITERATIONS} scores on the validation window" in card
    tried = summarise(read_trials(run / "trials.parquet"), "", "")
    assert load(bundle)["training"]["trials"]["overfitting"] == tried.overfitting
    judged = next(line for line in card.splitlines() if line.startswith("| straight-agent") and " to " in line)
    assert judged.split(" | ")[-5] == str(AGENTS * ITERATIONS)
    assert judged.endswith(f"| {tried.overfitting:.2f} | {tried.loss_probability:.2f} |")
    assert "- hold: no deflated Sharpe ratio, no record of trials." in card
    assert not previous.exists()
    assert arb("deploy", run, "--ensemble", 2, "--to", shipped) == 0
    agents = [load(path)["agent"] for path in sorted(shipped.glob("*/bundle.json"))]
    assert agents == summary["ranking"][:2]
    assert [path.name for path in previous.glob("*/bundle.json")] == ["bundle.json"]
    assert arb("deploy", "--roll-back", "--to", shipped) == 0
    (bundle,) = shipped.glob("*/bundle.json")
    assert load(bundle)["agent"] == summary["winner"]
    assert (shipped / "MODEL_CARD.md").read_text(encoding="utf-8") == card
    assert len(list(previous.glob("*/bundle.json"))) == 2


def test_deploying_what_is_not_there_is_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert arb("deploy", run, "--agent", 5, "--to", tmp_path / "x") == 2
    assert "has no agent 5" in capsys.readouterr().err
    assert arb("deploy", "--roll-back", "--to", tmp_path / "x") == 2
    assert "nothing was shipped before" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_the_figure_stands_alone_and_draws_every_copy(run: Path) -> None:
    text = (run / "pbt.html").read_text(encoding="utf-8")
    own = text.partition('<script type="text/plain" id="plotly">')[0]
    assert "http" not in own.replace("http-equiv", "")
    assert "rank correlation of reward and P&amp;L over 9 scores" in own
    data = json.loads(re.findall(r'id="data">(.*?)</script>', own)[0])
    assert len(data["links"]) == AGENTS * (ITERATIONS - 1)
    assert len(data["dots"]) == len(data["rewards"]) == AGENTS * ITERATIONS
    names = ["fitness", "learning_rate", "gamma", "gae_lambda", "ent_coef", "clip_range"]
    assert [series["name"] for series in data["series"]] == names
    assert own.count('data-chart="series') == len(names)


def test_the_figure_shows_every_agent_and_the_winner_beside_the_rules(run: Path) -> None:
    own = (run / "pbt.html").read_text(encoding="utf-8").partition('<script type="text/plain" id="plotly">')[0]
    summary = json.loads((run / "training_summary.json").read_text(encoding="utf-8"))
    best = own[own.index('<section id="winner">') : own.index('<section id="agents">')]
    assert re.findall(r'<th scope="row" class="t">([^<]+)</th>', best) == [
        f"agent {summary['winner']}, the best", "hold", "greedy", "carry", "basis", "target",
    ]  # fmt: skip
    agents = own[own.index('<section id="agents">') : own.index('<section id="copies">')]
    ranked = [f"agent {agent}" for agent in summary["ranking"]]
    assert re.findall(r'<th scope="row" class="t">([^<]+)</th>', agents) == ranked
