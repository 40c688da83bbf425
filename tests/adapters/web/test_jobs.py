"""An operator starts a few commands, one at a time; nobody else, and nothing else."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from support_training import write_tiny_dataset
from support_web import client, played_state, serving

from adapters.web.jobs import Jobs
from adapters.web.problems import MissingError, RefusedError
from adapters.web.serving import Serving
from adapters.web.tokens import Token

JOBS = "/api/v1/jobs"
OPERATOR = {"authorization": f"Bearer {'o' * 40}"}
VIEWER = {"authorization": f"Bearer {'v' * 40}"}
SAYS = (sys.executable, "-c", "import sys; print(sys.argv[1:]); sys.exit('fail' in sys.argv)")
WAITS = (sys.executable, "-c", "import sys, threading; print('waits', flush=True); threading.Event().wait()")


def opened(folder: Path) -> Serving:
    tokens = (Token("viewer", b"v" * 40), Token("operator", b"o" * 40))
    return Serving(folder / "state", folder / "runs", folder / "models", tokens=tokens)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path


def ended(jobs: Jobs, job_id: str) -> dict[str, Any]:
    """What is told of a job when its thread has ended."""
    for thread in threading.enumerate():
        if thread.name == f"job {job_id}":
            thread.join(120)
    return jobs.job(job_id).shown()


@pytest.mark.parametrize("headers", [{}, VIEWER])
def test_nobody_but_an_operator_may(place: Path, headers: dict[str, str]) -> None:
    with client(opened(place)) as asking:
        codes = {
            asking.post(JOBS, json={"kind": "verify"}, headers=headers).status_code,
            asking.get(JOBS, headers=headers).status_code,
            asking.get(f"{JOBS}/{'0' * 16}", headers=headers).status_code,
            asking.delete(f"{JOBS}/{'0' * 16}", headers=headers).status_code,
        }
    assert codes == ({403} if headers else {401})


def test_without_tokens_there_is_no_operator(place: Path) -> None:
    with client(serving(place)) as asking:
        answer = asking.post(JOBS, json={"kind": "verify"})
    assert answer.status_code == 403
    assert "--token-file" in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"kind": "backtest", "args": {"strategy": "carry"}}, "body.args.data"),
        ({"kind": "backtest", "args": {"strategy": "os:system", "data": "sample"}}, "body.args.strategy"),
        ({"kind": "backtest", "args": {"strategy": "./x.py:X", "data": "sample"}}, "body.args.strategy"),
        ({"kind": "backtest", "args": {"strategy": "--help", "data": "sample"}}, "body.args.strategy"),
        ({"kind": "backtest", "args": {"strategy": "carry", "data": "../../etc"}}, "body.args"),
        ({"kind": "backtest", "args": {"strategy": "carry", "data": "/etc"}}, "body.args"),
        ({"kind": "backtest", "args": {"strategy": "carry", "data": "sample", "out": "/tmp/x"}}, "body.args.out"),
        ({"kind": "report", "args": {"run": ".."}}, "body.args"),
        ({"kind": "verify", "args": {"state": "/"}}, "body.args.state"),
        ({"kind": "deploy"}, "body.kind"),
        ({"kind": "verify", "args": {"a": 1}}, "body.args.a"),
    ],
)
def test_what_is_no_job_is_refused_by_name(place: Path, body: dict[str, Any], where: str) -> None:
    with client(opened(place)) as asking:
        answer = asking.post(JOBS, json=body, headers=OPERATOR)
        assert asking.get(JOBS, headers=OPERATOR).json() == []
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["where"] == where


def test_a_job_runs_with_fixed_arguments_and_ends_with_its_output(place: Path) -> None:
    jobs = Jobs(opened(place), SAYS)
    found = ended(jobs, jobs.start("backtest", {"strategy": "carry", "data": "sample"}).id)
    assert (found["state"], found["exit_code"]) == ("done", 0)
    assert "['backtest', '--strategy', 'carry', '--data'," in found["output"]
    assert str(place) not in found["output"]
    failing = Jobs(opened(place), (*SAYS, "fail"))
    assert ended(failing, failing.start("verify", {}).id)["state"] == "failed"


def test_one_job_at_a_time_and_it_can_be_stopped(place: Path) -> None:
    jobs = Jobs(opened(place), WAITS)
    first = jobs.start("verify", {})
    with pytest.raises(RefusedError, match="one at a time"):
        jobs.start("verify", {})
    jobs.stop(first.id)
    assert ended(jobs, first.id)["state"] == "stopped"
    second = jobs.start("verify", {})
    jobs.close()
    assert ended(jobs, second.id)["state"] == "stopped"
    with pytest.raises(MissingError):
        jobs.job("0" * 16)


def test_a_job_that_takes_too_long_is_ended(place: Path) -> None:
    jobs = Jobs(opened(place), WAITS, seconds=0.2)
    found = ended(jobs, jobs.start("verify", {}).id)
    assert found["state"] == "stopped"
    assert found["exit_code"] != 0


def test_a_backtest_that_was_asked_for_lies_among_the_runs(place: Path) -> None:
    write_tiny_dataset(place / "runs" / "tiny")
    jobs = Jobs(opened(place))
    job = jobs.start("backtest", {"strategy": "hold", "data": "tiny"})
    found = ended(jobs, job.id)
    assert found["state"] == "done", found["output"]
    made = place / "runs" / f"job-{job.id}"
    assert json.loads((made / "metrics.json").read_text(encoding="utf-8"))["trades"] == 0
    assert str(place) not in found["output"]


def test_the_front_page_says_whether_the_journal_was_verified(place: Path) -> None:
    played_state(place / "state", until=30)
    of = opened(place)
    with client(of) as asking:
        assert "Not verified since" in asking.get("/", headers=OPERATOR).text
        job = asking.post(JOBS, json={"kind": "verify"}, headers=OPERATOR).json()["id"]
        for thread in threading.enumerate():
            if thread.name == f"job {job}":
                thread.join(120)
        found = asking.get(f"{JOBS}/{job}", headers=OPERATOR).json()
        assert found["state"] == "done", found["output"]
        assert "Not verified since" not in asking.get("/", headers=OPERATOR).text
