"""A few commands that an operator may start: each a process of its own, one at a time, with arguments that are fixed.

What a job may read and write is what the service was started with: nothing that is sent becomes a path or an option.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from adapters.configuration.settings import CONFIGS
from adapters.configuration.strategy_registry import strategy_classes
from adapters.research.run_list import run_of
from adapters.web.problems import MissingError, RefusedError
from adapters.web.serving import Serving
from engine.errors import UserError, cut

Kind = Literal["backtest", "report", "verify", "audit"]
State = Literal["running", "done", "failed", "stopped"]
MOST_KEPT, LONGEST_SECONDS, SHOWN_BYTES = 20, 3600, 4000
ARB = (sys.executable, "-c", "from adapters.cli import main; main()")
SAMPLE = "sample"


@dataclass
class Job:
    """A command that was started; ``process`` is None once it has ended."""

    id: str
    kind: Kind
    started: datetime
    state: State = "running"
    exit_code: int | None = None
    output: str = ""
    process: subprocess.Popen[bytes] | None = None

    def shown(self) -> dict[str, Any]:
        """What a program is told of it."""
        return {
            "id": self.id, "kind": self.kind, "state": self.state, "exit_code": self.exit_code,
            "started": f"{self.started:%Y-%m-%dT%H:%M:%SZ}", "output": self.output,
        }  # fmt: skip


class Jobs:
    """Starts jobs, remembers the last twenty, and stops the one that runs when the service ends."""

    def __init__(self, serving: Serving, program: Sequence[str] = ARB, seconds: float = LONGEST_SECONDS) -> None:
        self._serving, self._program, self._seconds = serving, tuple(program), seconds
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()

    def start(self, kind: Kind, asked: Mapping[str, str]) -> Job:
        """Raises ``RefusedError`` for arguments that the kind does not take, or while another job runs."""
        job = Job(secrets.token_hex(8), kind, datetime.now(UTC))
        words = self._words(kind, asked, job.id)
        with self._lock:
            if any(one.state == "running" for one in self._jobs.values()):
                raise RefusedError("another job is running; one at a time", "kind")
            log = tempfile.TemporaryFile()  # noqa: SIM115  # closed by the thread that waits
            job.process = subprocess.Popen(
                [*self._program, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
            self._jobs[job.id] = job
            while len(self._jobs) > MOST_KEPT:
                self._jobs.popitem(last=False)
        threading.Thread(target=self._wait, args=(job, log), name=f"job {job.id}", daemon=True).start()
        return job

    def job(self, job_id: str) -> Job:
        """Raises ``MissingError``."""
        with self._lock:
            if job_id not in self._jobs:
                raise MissingError("there is no such job")
            return self._jobs[job_id]

    def every(self) -> list[Job]:
        """The newest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def stop(self, job_id: str) -> Job:
        """End a job. Raises ``MissingError``."""
        job = self.job(job_id)
        if job.process is not None:
            job.state = "stopped"
            job.process.terminate()
        return job

    def close(self) -> None:
        """End whatever runs."""
        for job in self.every():
            if job.process is not None:
                self.stop(job.id)

    def _wait(self, job: Job, log: Any) -> None:
        process = job.process
        assert process is not None  # it was just started
        with log:
            try:
                job.exit_code = process.wait(self._seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                job.exit_code = process.wait()
                job.state = "stopped"
            log.seek(max(0, log.seek(0, 2) - SHOWN_BYTES))
            job.output = self._public(log.read().decode("utf-8", "replace"))
        job.process = None
        if job.state == "running":
            job.state = "done" if job.exit_code == 0 else "failed"

    def _public(self, text: str) -> str:
        """Without the places of this machine."""
        for folder in (self._serving.state, self._serving.runs, self._serving.models):
            for place in {str(folder), str(folder.absolute())}:
                text = text.replace(place, folder.name)
        return text

    def _words(self, kind: Kind, asked: Mapping[str, str], job_id: str) -> list[str]:
        makers: Mapping[Kind, tuple[tuple[str, ...], Callable[[], list[str]]]] = {
            "backtest": (("strategy", "data"), lambda: [
                "backtest", "--strategy", asked["strategy"], "--data", self._data(asked["data"]),
                "--out", str(self._serving.runs / f"job-{job_id}"),
            ]),
            "audit": (("strategy", "data"), lambda: [
                "audit", "--strategy", asked["strategy"], "--data", self._data(asked["data"]),
            ]),
            "report": (("run",), lambda: ["report", self._run(asked["run"])]),
            "verify": ((), lambda: ["paper-verify", "--state", str(self._serving.state)]),
        }  # fmt: skip
        wanted, words = makers[kind]
        for name in (*wanted, *asked):
            if name not in asked or name not in wanted:
                raise RefusedError(f"a job of this kind takes {' and '.join(wanted) or 'no arguments'}", "args", name)
        self._check_strategy(asked.get("strategy"))
        return words()

    def _check_strategy(self, strategy: str | None) -> None:
        known = strategy_classes()
        # A module or a file would be code that somebody sends.
        if strategy is not None and strategy not in known:
            raise RefusedError(f"it is none of {', '.join(known)}", "args", "strategy")

    def _data(self, name: str) -> str:
        return str(CONFIGS.parent / "data" / SAMPLE) if name == SAMPLE else self._run(name)

    def _run(self, name: str) -> str:
        try:
            return str(self._serving.runs / run_of(self._serving.runs, name).id)
        except UserError as error:
            raise RefusedError(cut(str(error).partition(";")[0], 200), "args") from None
