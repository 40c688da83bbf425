"""Every trap test must be able to fail: break the code on purpose, one place at a time, and demand red tests.

``tests/mutations.yaml`` lists what is broken and which tests must notice. The repository is copied to a temporary
folder for each worker; the tests that are named must pass there, then each mutation is applied alone and all its
tests must fail. Run by hand: ``make mutations``, or ``python benchmarks/run_mutations.py --only margin``.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from xml.etree import ElementTree

import yaml

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "tests" / "mutations.yaml"
NOT_NEEDED = ("data/", "trained_models/")
NOT_EVEN_WRONG = re.compile(r"numba\.core\.errors|SyntaxError|NameError|ImportError|ModuleNotFoundError")
"""What pytest shows when a mutation does not run at all; such a failure proves nothing."""


@dataclass(frozen=True)
class Mutation:
    """One thing done wrong on purpose. ``find`` stands exactly once in ``file``; each of ``tests`` must fail."""

    trap: int | str
    what: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """Which of the named tests failed, and how long it took."""

    mutation: Mutation
    failed: frozenset[str]
    seconds: float
    trouble: str = ""

    @property
    def survived_in(self) -> list[str]:
        return [test for test in self.mutation.tests if test not in self.failed]


def read_mutations(path: Path = LIST) -> list[Mutation]:
    """The list of mutations, checked for keys only."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [Mutation(**{**entry, "tests": tuple(entry["tests"])}) for entry in entries]


def chosen_by(pattern: str) -> list[Mutation]:
    """The mutations whose trap, file, description or tests match."""
    return [one for one in read_mutations() if re.search(pattern, f"{one.trap} {one.file} {one.what} {one.tests}")]


class Workshop:
    """A copy of the repository, with a cache of machine code of its own, in which things may be broken."""

    def __init__(self, folder: Path, time_limit_s: int) -> None:
        self._copy, self._cache, self._time_limit_s = folder / "arb", folder / "warm", time_limit_s
        for name in _tracked_files():
            target = self._copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
        self._cache.mkdir()

    def baseline(self, tests: Sequence[str]) -> str:
        """Run tests on unbroken code, which also fills the cache; returns what pytest says if they do not pass."""
        done, failed = self._pytest(tests, self._cache)
        return "" if done.returncode == 0 and not failed else done.stdout[-3000:] + done.stderr[-1000:]

    def run(self, mutation: Mutation) -> Outcome:
        """Break one place, run the tests that must notice, and mend it."""
        path = self._copy / mutation.file
        original = path.read_text(encoding="utf-8")
        if original.count(mutation.find) != 1:
            return Outcome(
                mutation, frozenset(), 0.0, f"found {original.count(mutation.find)} times in {mutation.file}"
            )
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="arb-cache-") as name:
            cache = Path(name) / "cache"
            shutil.copytree(self._cache, cache)
            path.write_text(original.replace(mutation.find, mutation.replace), encoding="utf-8")
            try:
                done, failed = self._pytest(mutation.tests, cache)
            finally:
                path.write_text(original, encoding="utf-8")
        return Outcome(mutation, failed, time.monotonic() - started, _trouble_of(done))

    def _pytest(self, tests: Sequence[str], cache: Path) -> tuple[subprocess.CompletedProcess[str], frozenset[str]]:
        report = cache.parent / "report.xml"
        report.unlink(missing_ok=True)
        # A test that compiles on a busy machine must not pass for one that fails.
        limit = f"--timeout={self._time_limit_s}"
        command = [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", limit, f"--junitxml={report}", *tests
        ]  # fmt: skip
        environment = {
            **os.environ,
            "PYTHONPATH": str(self._copy),
            # Broken and mended files may have one size and one second of change: their bytecode must not be kept.
            "PYTHONDONTWRITEBYTECODE": "1",
            "NUMBA_CACHE_DIR": str(cache),
            "OMP_NUM_THREADS": "1",
        }
        done = subprocess.run(
            command, cwd=self._copy, env=environment, capture_output=True, text=True, timeout=self._time_limit_s,
            check=False,
        )  # fmt: skip
        shutil.rmtree(self._copy / ".hypothesis", ignore_errors=True)
        return done, _failed_in(report)


def _trouble_of(done: subprocess.CompletedProcess[str]) -> str:
    # Below zero: memory was overrun, and the interpreter died of it after the tests had reported.
    if done.returncode > 1:
        return f"pytest ended with {done.returncode}: {done.stdout[-400:]}"
    found = NOT_EVEN_WRONG.search(done.stdout)
    return f"the broken code does not run: {found.group()}" if found else ""


def _tracked_files() -> list[str]:
    """What belongs to the repository, new files that are not ignored included, without data."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.split("\n") if (ROOT / name).is_file() and not name.startswith(NOT_NEEDED)]


def _failed_in(report: Path) -> frozenset[str]:
    """``file::function`` of every test that failed, whatever its parameters; a module that broke fails as a whole."""
    if not report.exists():
        return frozenset()
    failed = set()
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            file = case.get("classname", "").replace(".", "/") + ".py"
            failed.add(f"{file}::{case.get('name', '').partition('[')[0]}")
    return frozenset(failed)


def run_all(mutations: Sequence[Mutation], jobs: int, time_limit_s: int) -> Iterable[Outcome]:
    """Outcomes as they come; raises ``SystemExit`` when the unbroken code does not pass."""
    tests = sorted({test for mutation in mutations for test in mutation.tests})
    with tempfile.TemporaryDirectory(prefix="arb-mutations-") as name, ThreadPoolExecutor(jobs) as pool:
        workshops = list(pool.map(lambda k: Workshop(_made(Path(name) / str(k)), time_limit_s), range(jobs)))
        for said in pool.map(lambda workshop: workshop.baseline(tests), workshops):
            if said:
                raise SystemExit(f"the tests do not pass on unbroken code:\n{said}")
        idle: Queue[Workshop] = Queue()
        for workshop in workshops:
            idle.put(workshop)

        def run(mutation: Mutation) -> Outcome:
            workshop = idle.get()
            try:
                return workshop.run(mutation)
            finally:
                idle.put(workshop)

        yield from pool.map(run, mutations)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def line_of(outcome: Outcome) -> str:
    """One row of the table."""
    mutation, missed = outcome.mutation, outcome.survived_in
    state = "red" if not missed and not outcome.trouble else "SURVIVED"
    of = f"{len(mutation.tests) - len(missed)}/{len(mutation.tests)}"
    row = f"{mutation.trap!s:>7}  {state:8} {of:>5} {outcome.seconds:5.0f} s  {mutation.file:28} {mutation.what}"
    return "\n".join(
        [row, *(f"{'':27} not seen by {test}" for test in missed), *([outcome.trouble] * bool(outcome.trouble))]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", default="", help="mutations whose trap, file, description or tests match this pattern"
    )
    parser.add_argument("--jobs", type=int, default=2, help="how many run at a time (default: 2)")
    parser.add_argument(
        "--time-limit", type=int, default=900, help="seconds that one run of the tests may take (default: 900)"
    )
    arguments = parser.parse_args()
    chosen = chosen_by(arguments.only)
    if not chosen:
        parser.error(f"--only {arguments.only!r} matches no trap, file, description or tests of {LIST.name}")
    started, survivors = time.monotonic(), 0
    print(f"{'trap':>7}  {'tests':8} {'seen':>5} {'time':>7}  {'file':28} what was broken", flush=True)
    for outcome in run_all(chosen, arguments.jobs, arguments.time_limit):
        survivors += bool(outcome.survived_in or outcome.trouble)
        print(line_of(outcome), flush=True)
    print(f"{len(chosen)} mutations, {survivors} survived, {time.monotonic() - started:.0f} s")
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    main()
