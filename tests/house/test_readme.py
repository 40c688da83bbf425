"""README is true: every ``arb`` command in it exists with its options, and its strategy runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from adapters.cli import arb
from adapters.configuration.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
    if line.startswith("arb ")
]


def parse(command: click.Command, words: list[str], name: str) -> None:
    """Parse without running; an unknown option or a missing argument raises."""
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        found = command.get_command(context, words[0])
        assert found is not None, f"{name} has no command {words[0]}"
        parse(found, words[1:], words[0])
    else:
        command.make_context(name, list(words))


def test_there_are_commands_to_test() -> None:
    assert len(COMMANDS) > 10


@pytest.mark.parametrize("line", COMMANDS)
def test_command_of_the_readme_parses(line: str) -> None:
    parse(arb, shlex.split(line)[1:], "arb")


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([a-z-]+)", README, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_places_named_in_the_readme_exist() -> None:
    for path in re.findall(r"`((?:engine|strategies|rl_training|adapters|configs|data)/[\w./]*)`", README):
        assert (ROOT / path).exists(), path


def test_the_spreads_of_the_readme_are_those_of_the_table() -> None:
    spreads = load_settings().spreads
    head, *rows = re.search(r"\| half-spread.*?\n\n", README, flags=re.DOTALL)[0].splitlines()[:-1]  # type: ignore[index]  # it is there
    floors = [1e6 * float(cell.strip(" MUSD")) for cell in head.split("|")[2:-1]]
    table = {row.split()[1]: [float(cell) for cell in row.split("|")[2:-1]] for row in rows[1:]}
    assert set(table) == set(spreads)
    for exchange, widths in table.items():
        bins = spreads[exchange][0].half_spread
        assert widths == [[one.bps for one in bins if one.from_usd <= usd][-1] for usd in floors], exchange


def test_the_strategy_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)[0]
    (tmp_path / "my_rules.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    words = ["backtest", "--strategy", "my_rules:MyRule", "--data", str(ROOT / "data" / "sample"), "--out", "out"]
    arb.main(words, standalone_mode=False)
    assert (tmp_path / "out" / "trades.csv").read_text(encoding="utf-8").count("\n") > 1


def test_the_python_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = re.findall(r"```python\n(import arb\n.*?)```", README, flags=re.DOTALL)[0]
    assert len(code.split("\n\n")) == 2
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    page = tmp_path / capsys.readouterr().out.split()[-1]
    assert page.name == "report.html"
    assert "carry" in page.read_text(encoding="utf-8")
