"""Two states of the code, the same commands: does anything that a user gets differ?

    python benchmarks/golden.py                 # the working tree against HEAD (HEAD~1 when nothing is changed)
    python benchmarks/golden.py --base v0.1.0   # against another revision
    python benchmarks/golden.py --only backtest,tune

Every command of ``RUNS`` is run in a checkout of the base and in the working tree; what it prints and every file that
it writes must be equal byte for byte. Times, durations, machine paths and versions are taken out first (``VOLATILE``).
Both sides run on this machine, because trained weights have other bits on another kind of processor. What the base
gave is kept in ``.cache/golden`` by commit.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
KEPT = REPOSITORY / ".cache" / "golden"
OUT = "runs/golden"
SAMPLE = "data/sample"
TWO_FOLDS = "2025-07-05T23:00Z"
AFTER = "2025-07-31T00:30Z"

RUNS: Mapping[str, tuple[str, ...]] = {
    "help": ("--help", "backtest --help", "train-pbt --help", "walk-forward --help", "data --help", "strategies"),
    "backtest": (
        f"backtest --strategy ppo,carry,greedy,basis,hold,random --data {SAMPLE} --late --out {OUT}/backtest",
        f"report {OUT}/backtest/carry {OUT}/backtest/basis --out {OUT}/compared.html",
        f"compare {OUT}/backtest/carry {OUT}/backtest/basis --out {OUT}/compare",
    ),
    "hindsight": (f"backtest --strategy hindsight --data {SAMPLE} --window test --out {OUT}/hindsight",),
    "by_exchange": (
        f"backtest --strategy greedy --data {SAMPLE} --set account=by_exchange --set leverage=3"
        f" --set leg_failure_probability=0.05 --out {OUT}/by_exchange",
    ),
    "late": (f"backtest --strategy carry --data {SAMPLE} --set latency_hours=2 --no-report --out {OUT}/late",),
    "tune": (f"tune --strategy carry --data {SAMPLE} --points 20 --workers 2 --out {OUT}/tune",),
    "train": (f"train --data {SAMPLE} --timesteps 4096 --out {OUT}/train",),
    "pbt": (
        f"train-pbt --data {SAMPLE} --population 2 --timesteps 12288 --perturbation-interval 4096 --workers 2"
        f" --out {OUT}/pbt",
        f"evaluate {OUT}/pbt --data {SAMPLE} --ensemble 2 --fills-late --out {OUT}/evaluate",
        f"deploy {OUT}/pbt --to {OUT}/deployed",
    ),
    "stress": (f"stress --strategy carry --data {SAMPLE} --window test --out {OUT}/stress",),
    "walk_forward": (
        f"walk-forward --strategy carry,hold --data {SAMPLE} --train-days 10 --validate-days 7 --test-days 7"
        f" --points 6 --to {TWO_FOLDS} --out {OUT}/walk_forward",
    ),
    "paper": (
        f"paper-trade --replay {SAMPLE} --strategy carry --state {OUT}/paper_state",
        f"paper-status --state {OUT}/paper_state --json --now {AFTER}",
        f"paper-verify --state {OUT}/paper_state",
        f"paper-export --state {OUT}/paper_state --out {OUT}/paper",
    ),
    "audit": (f"audit --strategy carry --data {SAMPLE} --cuts 4",),
    "data": (f"data inspect {SAMPLE}", f"data validate {SAMPLE}"),
}

DAYS = "|".join(f"{datetime.now(UTC) - timedelta(days=ago):%Y-%m-%d}" for ago in (0, 1))
VOLATILE = (
    (re.compile(rf"\b({DAYS})[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|\+00:00)?"), "NOW"),
    (re.compile(r"\b[0-9a-f]{40}\b"), "COMMIT"),
    (re.compile(r"\b\d+\.\d+\.\d+\+[0-9a-f]{12}(-dirty)?"), "VERSION"),
    (re.compile(r"\b0x[0-9a-f]{6,}\b"), "ADDRESS"),
)
"""Moments at which the commands ran (the data are older), and the version of the code."""
DURATIONS = re.compile(r"\b(\d+(\.\d+)? (s|ms|min|MB|MiB)|\d+:\d\d(:\d\d)?)\b")
"""Taken out of what is printed and of logs only."""
_SUMS = "checksum|\\w*model.zip|model_sha256"
_KEYS = f"{_SUMS}|seconds|machine|pid|code_version|start_time|code|\\w*_seconds|\\w*_mb|peak_\\w+"
VOLATILE_KEYS = re.compile(rf'"({_KEYS})": ("[^"]*"|[^,\n}}]+)')
"""Checksums too, where they cover a moment or a path; what they stand for is compared itself."""
BINARY = frozenset({".parquet", ".npz", ".npy", ".safetensors"})
LINES_SHOWN = 12
SKIPPED = re.compile(r"(^|/)(events\.out\.tfevents.*|log\.txt|.*\.lock|lock\.sqlite|.*-shm|.*-wal)$")


@dataclass(frozen=True)
class Side:
    """One state of the code. Both write to the same relative places, each in its own tree."""

    tree: Path

    def run(self, name: str) -> dict[str, bytes]:
        """What the commands of one entry of ``RUNS`` print and write, by file; volatile words are taken out."""
        folder = self.tree / OUT
        shutil.rmtree(folder, ignore_errors=True)
        printed = "".join(self._command(words) for words in RUNS[name])
        files = {str(path.relative_to(folder)): self._content(path) for path in sorted(files_under(folder))}
        shutil.rmtree(folder, ignore_errors=True)
        return {"what was printed": DURATIONS.sub("AMOUNT", self._plain(printed)).encode(), **files}

    def _command(self, words: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(self.tree), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
        arguments = [sys.executable, "-m", "adapters.cli", *words.split()]
        done = subprocess.run(arguments, cwd=self.tree, env=environment, capture_output=True, text=True, check=False)
        return f"$ arb {words}\n{done.stdout}{done.stderr}exit {done.returncode}\n"

    def _plain(self, text: str) -> str:
        text = VOLATILE_KEYS.sub(r'"\1": "-"', text.replace(str(self.tree), "TREE"))
        for pattern, word in VOLATILE:
            text = pattern.sub(word, text)
        return text

    def _content(self, path: Path) -> bytes:
        if path.suffix == ".sqlite":
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
                return self._plain("\n".join(database.iterdump())).encode()
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                return b"".join(self._member(archive, name) for name in sorted(archive.namelist()))
        content = path.read_bytes()
        if path.suffix in BINARY:
            return content
        text = self._plain(content.decode())
        return (DURATIONS.sub("AMOUNT", text) if path.suffix == ".txt" else text).encode()

    def _member(self, archive: zipfile.ZipFile, name: str) -> bytes:
        """A part of a model of stable-baselines3; in its ``data``, JSON, stand addresses and the time of the start."""
        content = archive.read(name)
        return name.encode() + (self._plain(content.decode()).encode() if name == "data" else content)


def files_under(folder: Path) -> Iterator[Path]:
    """Every file that is compared."""
    return (path for path in folder.rglob("*") if path.is_file() and not SKIPPED.search(str(path)))


def base_run(commit: str, name: str) -> dict[str, bytes]:
    """What the base gives, from ``.cache/golden`` or from a checkout made for it."""
    kept = KEPT / commit / f"{name}-{hash_of((*RUNS[name], _KEYS))}"
    if not kept.is_dir():
        tree = KEPT / commit / "tree"
        if not tree.is_dir():
            git("worktree", "prune")
            git("worktree", "add", "--detach", "--quiet", str(tree), commit)
        for file, content in Side(tree).run(name).items():
            target = kept.with_suffix(".tmp") / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        kept.with_suffix(".tmp").rename(kept)
    return {str(path.relative_to(kept)): path.read_bytes() for path in sorted(kept.rglob("*")) if path.is_file()}


def hash_of(words: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:8]


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout.strip()


def differences(base: Mapping[str, bytes], here: Mapping[str, bytes]) -> Iterator[str]:
    """One paragraph for each file that differs."""
    for file in sorted(base.keys() | here.keys()):
        if file not in here:
            yield f"{file}: is not written any more"
        elif file not in base:
            yield f"{file}: is new"
        elif base[file] != here[file]:
            yield f"{file}: differs{_where(base[file], here[file])}"


def _where(base: bytes, here: bytes) -> str:
    try:
        lines = [text.decode().splitlines() for text in (base, here)]
    except UnicodeDecodeError:
        return f" ({len(base)} and {len(here)} bytes)"
    changes = [line[:200] for line in difflib.unified_diff(*lines, lineterm="", n=0) if line[:3] not in ("---", "+++")]
    return "\n    " + "\n    ".join(changes[:LINES_SHOWN])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", help="revision to compare with; default: HEAD, or HEAD~1 when nothing is changed")
    parser.add_argument("--only", help=f"comma-separated, of {', '.join(RUNS)}")
    arguments = parser.parse_args()
    base = arguments.base or ("HEAD" if git("status", "--porcelain") else "HEAD~1")
    commit = git("rev-parse", base)
    names = arguments.only.split(",") if arguments.only else list(RUNS)
    worst = 0
    for name in names:
        began = time.monotonic()
        expected, found = base_run(commit, name), Side(REPOSITORY).run(name)
        told = list(differences(expected, found))
        state = "DIFFERS" if told else "equal"
        print(f"{name:<14} {state:<8} {len(found):>4} files  {time.monotonic() - began:6.1f} s", flush=True)
        for paragraph in told:
            print(f"  {paragraph}")
        worst |= bool(told)
    print(f"against {base} ({commit[:12]})")
    return worst


if __name__ == "__main__":
    sys.exit(main())
