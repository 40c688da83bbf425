"""State of trainings, populations and walk-forwards, and caches, that were altered: noticed, never gone on with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from altered_bytes import Rng, altered, something_else
from support_environment import SPEC

from adapters.configuration.settings import load_settings
from adapters.research import training
from adapters.research.pbt.job import PBTJob, begin, read_job
from adapters.research.pbt.state_folder import StateFolder
from adapters.research.training import CHECKPOINT, PLAN, TrainingPlan, read_checkpoint, read_plan
from adapters.research.tuning import Measured
from adapters.research.walk_forward.point_log import PointLog
from adapters.storage import array_store, sealed
from adapters.storage.pbt_names import JOB, SUMMARY, read_summary
from engine.errors import ArbError
from engine.observation.encoding import Scaler
from rl_training.pbt.results import AgentResult

NAME = "checkpoints"
POINTS = ({"x": 1}, {"x": 2})
ARRAYS = {"weights/a": np.arange(40, dtype=np.float32).reshape(5, 8), "steps": np.array(7), "seen": np.zeros((2, 3))}
RETURNS = np.linspace(-0.01, 0.01, 30)
RESULT = AgentResult(
    agent=0, iteration=1, source=None, hyperparameters={"gamma": 0.99}, steps=64, fitness=0.25, reward=None,
    metrics={"pnl_pct": 0.5, "trades": 3}, failure=None, log=(),
)  # fmt: skip
ENTRY = "entry-1"


@cache
def whole() -> dict[str, bytes]:
    """Every kind of state file by its path."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        StateFolder(folder / "state").write(RESULT, ARRAYS, RETURNS)
        training.write_arrays(folder / CHECKPOINT, ARRAYS)
        sealed.write_sealed(folder / SUMMARY, {"finished": True, "ranking": [1, 0], "winner": 1, "results": []})
        log = PointLog(folder / "rule.jsonl", POINTS)
        log.append(Measured({"pnl_pct": 0.5, "sharpe": None}, RETURNS))
        log.append(Measured({"pnl_pct": float("nan"), "sharpe": 1.5}, -RETURNS))
        array_store.write_arrays(folder / ENTRY, {"price": RETURNS}, {"first_hour": 7, "hours": 30}, kept=4)
        times = {"train_from": _time(1), "train_to": _time(20), "settings": load_settings(), "seed": 3}
        plan = TrainingPlan(data="d", dataset_fingerprint="f" * 32, timesteps=64, learner="flat", **times)
        training.begin(folder / "train", plan)
        width = len(SPEC.features)
        begin(folder / "population", PBTJob(
            dataset=Path("d"), fingerprint="f" * 32, validate_from=_time(22), validate_to=_time(25), learner="flat",
            scaler=Scaler(mean=(0.0,) * width, deviation=(1.0,) * width), started=_time(1), command="arb", **times,
        ))  # fmt: skip
        return {
            str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
        }


def _time(day: int) -> datetime:
    return datetime(2025, 1, day, tzinfo=UTC)


def _log(folder: Path) -> object:
    log = PointLog(folder / "rule.jsonl", POINTS)
    log.read()
    return log.measured


def _cached(folder: Path) -> object:
    """As the caches read: whatever is wrong with an entry, it counts as absent."""
    try:
        return array_store.read_arrays(folder / ENTRY)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


READERS: dict[str, Callable[[Path], object]] = {
    "state/iteration_001/agent_0.json": lambda folder: StateFolder(folder / "state").read(1, 0),
    "state/iteration_001/agent_0.npz": lambda folder: StateFolder(folder / "state").checkpoint(1, 0),
    "state/iteration_001/agent_0.npy": lambda folder: StateFolder(folder / "state").returns(1, 0),
    CHECKPOINT: lambda folder: read_checkpoint(folder / CHECKPOINT),
    SUMMARY: read_summary,
    "rule.jsonl": _log,
    f"{ENTRY}/manifest.json": _cached,
    f"{ENTRY}/price.npy": _cached,
    f"train/{PLAN}": lambda folder: read_plan(folder / "train"),
    f"population/{JOB}": lambda folder: read_job(folder / "population" / JOB),
}
MAY_BE_ABSENT = ("state/iteration_001/agent_0.json", SUMMARY, "rule.jsonl")
"""Files whose absence says that something is still to be done."""


def case(rng: Rng, folder: Path) -> str:
    """One altered file; accepted is only what has not changed after all, or a log that has lost its last lines."""
    for name, content in whole().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    name = sorted(READERS)[int(rng.integers(len(READERS)))]
    path, changed = folder / name, None
    if rng.random() < 0.1:
        something_else(path, rng)
    else:
        changed = altered(whole()[name], rng)
        path.write_bytes(changed)
    try:
        found = READERS[name](folder)
    except ArbError as error:
        return one_line(str(error))
    if found is None and name.startswith(ENTRY):
        return "refused"
    is_whole = changed == whole()[name] or (name == f"{ENTRY}/price.npy" and _is_same(found))
    is_absent = not path.exists() and name in MAY_BE_ABSENT
    assert is_whole or is_absent or _is_cut(name, found), f"{name} was taken for whole"
    return "accepted"


def _is_same(found: Any) -> bool:
    """The checksum of a cached array is over its numbers; blanks in its header may differ."""
    arrays, facts = found
    return facts["first_hour"] == 7 and np.array_equal(arrays["price"], RETURNS)


def one_line(refusal: str) -> str:
    """Whoever refuses says so in one line."""
    assert refusal
    assert "\n" not in refusal, refusal
    return "refused"


def _is_cut(name: str, found: object) -> bool:
    """A log without its last lines is what a kill leaves; what is left of it is as it was."""
    if name != "rule.jsonl" or not isinstance(found, list):
        return False
    kept = [RETURNS, -RETURNS][: len(found)]
    return len(found) <= 2 and all(np.array_equal(one.returns, wanted) for one, wanted in zip(found, kept, strict=True))
