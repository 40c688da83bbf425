"""The files of `deploy/` and what docs/operations.md says: every command and option in them is one that there is."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from adapters.cli import arb
from adapters.paper.settings import NotifySettings, load_config
from adapters.paper.status import LATE_AFTER_SECONDS

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "arb.json").read_text(encoding="utf-8"))
METRICS = {
    "arb_equity_usd", "arb_drawdown_pct", "arb_last_hour_age_seconds", "arb_healthy", "arb_trades_total",
    "arb_pending_funding_usd",
}  # fmt: skip
"""What `/metrics` of `arb serve` tells."""


def checked(words: Sequence[str]) -> str:
    """The name of an ``arb`` command whose options parse; raises what click raises."""
    assert Path(words[0]).name == "arb", words
    context = click.Context(arb, info_name="arb")
    command = arb.get_command(context, words[1])
    assert command is not None, f"there is no command {words[1]}"
    command.make_context(words[1], list(words[2:]))
    return words[1]


def unit(path: Path) -> ConfigParser:
    # Keys may stand several times in a unit; none that is looked at here does, but for Environment.
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys of units are written in capitals
    parser.read(path, encoding="utf-8")
    return parser


def options(words: Sequence[str]) -> set[str]:
    return {word for word in words if word.startswith("--")}


def in_readme(command: str) -> Iterator[list[str]]:
    """The commands of the README that begin so."""
    for block in re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL):
        yield from (shlex.split(line) for line in block.splitlines() if line.startswith(f"arb {command} "))


def in_guide() -> list[list[str]]:
    """Every ``arb`` command of the guide, in shells and units."""
    blocks = re.findall(r"```(?:bash|ini)\n(.*?)```", GUIDE, flags=re.DOTALL)
    found = []
    for line in (line.removeprefix("ExecStart=") for block in blocks for line in block.splitlines()):
        words = shlex.split(line)
        place = next(
            (at for at, word in enumerate(words) if word.endswith("/bin/arb") or (word, at) == ("arb", 0)), None
        )
        found += [] if place is None else [words[place:]]
    return found


def test_the_units_run_commands_that_there_are() -> None:
    names = {path.name: checked(shlex.split(unit(path)["Service"]["ExecStart"])) for path in UNITS}
    assert names == {"arb-paper.service": "paper-trade", "arb-serve.service": "serve"}


def test_the_units_may_write_the_state_alone() -> None:
    for path in UNITS:
        service = unit(path)["Service"]
        hardened = {
            "User": "arb", "ProtectSystem": "strict", "NoNewPrivileges": "yes", "ProtectHome": "yes",
            "PrivateTmp": "yes", "CapabilityBoundingSet": "", "Restart": "on-failure",
        }  # fmt: skip
        assert {key: service.get(key) for key in hardened} == hardened, path
        # numba makes machine code while it runs.
        assert "MemoryDenyWriteExecute" not in service
    paper, serve = (unit(DEPLOY / "systemd" / f"arb-{name}.service")["Service"] for name in ("paper", "serve"))
    words = shlex.split(paper["ExecStart"])
    state = Path(words[words.index("--state") + 1])
    assert Path(paper["ReadWritePaths"]) == state.parent == Path("/var/lib") / paper["StateDirectory"]
    assert not {"ReadWritePaths", "StateDirectory"} & set(serve)
    assert words[words.index("--state") + 1] in shlex.split(serve["ExecStart"])
    assert "127.0.0.1" in shlex.split(serve["ExecStart"])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_understands_the_units(path: Path, tmp_path: Path) -> None:
    # The program need not be installed where the test runs.
    text = re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", path.read_text(encoding="utf-8"))
    (tmp_path / path.name).write_text(text, encoding="utf-8")
    asked = ["systemd-analyze", "verify", "--man=no", str(tmp_path / path.name)]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    told = [line for line in done.stderr.splitlines() if path.name in line]
    assert (done.returncode, told) == (0, []), done.stderr


def dry_run(target: str) -> str:
    """What make would do for a target from the beginning, but for the hint that names the target."""
    asked = ["make", "--dry-run", "--always-make", target]
    # The tests may run under make themselves, which would have this one tell of its folders.
    around = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    told = subprocess.run(asked, cwd=ROOT, env=around, capture_output=True, text=True, check=True).stdout
    return re.sub(r"try: make .*?\"", "", told)


def test_the_image_is_set_up_as_everything_else_is() -> None:
    """By the target that `make backtest`, `make test` and CI rest on; what it does is asked of make itself."""
    steps = [line.removeprefix("RUN ") for line in re.sub(r"\\\n", "", DOCKERFILE).splitlines()]
    targets = [step.split()[1] for step in steps if step.startswith("make ")]
    assert targets == ["setup"]
    set_up = dry_run("setup")
    assert re.search(r"pip install .*-r requirements\.lock", set_up)
    assert re.search(r"pip install .*--editable \.", set_up)
    for target in ("backtest", "test", "lint"):
        assert set_up in dry_run(target), target
    assert re.search(r"(?m)^FROM python:3\.(1[1-9])-", DOCKERFILE)
    # Of the folder arb lies in: environment and state of whoever builds must not come along.
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    assert {".git", "**/.venv", "paper_state", "runs", "deploy/arb_token"} <= set(ignored)


def test_the_image_and_the_services_run_what_the_readme_runs() -> None:
    readme = next(words for words in in_readme("paper-trade") if "--once" not in words and "--replay" not in words)
    image = json.loads(re.search(r"(?m)^CMD (\[.*\])$", DOCKERFILE)[1])  # type: ignore[index]  # it is there
    services = COMPOSE["services"]
    exec_start = shlex.split(unit(DEPLOY / "systemd" / "arb-paper.service")["Service"]["ExecStart"])
    for words in (image, services["paper"]["command"], exec_start):
        assert checked(words) == "paper-trade"
        assert options(words) == options(readme)
    assert checked(services["serve"]["command"]) == "serve"
    # Where a user may write in the image, and where the volume is.
    for words in (image, services["paper"]["command"], services["serve"]["command"]):
        assert words[words.index("--state") + 1] == "/var/lib/arb/paper_state"


def test_the_services_share_one_volume_which_the_page_cannot_write() -> None:
    assert set(COMPOSE["services"]) == {"paper", "serve"}
    assert list(COMPOSE["volumes"]) == ["state"]
    paper, serve = (COMPOSE["services"][name] for name in ("paper", "serve"))
    assert "state:/var/lib/arb" in paper["volumes"]
    assert serve["volumes"] == ["state:/var/lib/arb:ro"]
    for service in (paper, serve):
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).samefile(DEPLOY / "Dockerfile")
    # Nobody but the host itself, and in the container only with a token.
    assert serve["ports"] == ["127.0.0.1:8642:8642"]
    assert "--token-file" in serve["command"]
    assert f"/run/secrets/{serve['secrets'][0]}" in serve["command"]
    config = next(one for one in paper["volumes"] if "ARB_CONFIG" in one)
    default = re.search(r":-([^}]+)}", config)[1]  # type: ignore[index]  # it is there
    assert load_config((DEPLOY / default).resolve()).exchanges is not None
    assert config.split(":")[-2] in paper["command"]
    health = paper["healthcheck"]["test"][1]
    assert checked(shlex.split(health.split(">")[0])) == "paper-status"


def test_a_token_of_the_services_does_not_get_into_the_repository() -> None:
    token = (DEPLOY / COMPOSE["secrets"]["arb_token"]["file"]).resolve().relative_to(ROOT).as_posix()
    assert token in (ROOT / ".gitignore").read_text(encoding="utf-8").split()


def test_the_proxy_passes_a_sub_path_on_and_holds_no_event_back() -> None:
    text = (DEPLOY / "nginx" / "arb.conf").read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    assert [line for line in lines if line.endswith("{")] == ["location ~ ^/arb(/|$) {"]
    assert lines[-1] == "}"
    assert all(line.endswith(";") for line in lines[1:-1])
    # Without a path of its own: with one, nginx would cut /arb off.
    assert "proxy_pass http://127.0.0.1:8642;" in lines
    assert {"proxy_buffering off;", "proxy_http_version 1.1;", "proxy_set_header Host $host;"} <= set(lines)
    # The limit of `arb serve` itself.
    assert "client_max_body_size 1m;" in lines
    assert not [line for line in lines if "ssl" in line or "listen" in line]


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"\barb_\w+", expression))


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    panels = DASHBOARD["panels"]
    assert set().union(*(names_in(target["expr"]) for one in panels for target in one["targets"])) == METRICS
    assert len({one["id"] for one in panels}) == len(panels)
    cells = [
        (x, y)
        for one in panels
        for place in [one["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells)), "panels lie on each other"
    assert max(x for x, _ in cells) < 24
    assert all(one["title"] and one["description"] for one in panels)
    assert [one["type"] for one in DASHBOARD["templating"]["list"]] == ["datasource"]


def test_alerts_of_the_guide_are_of_metrics_that_there_are_with_the_limits_of_the_code() -> None:
    blocks = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", GUIDE, flags=re.DOTALL)]
    (rules,) = (block["groups"][0]["rules"] for block in blocks if "groups" in block)
    assert set().union(*(names_in(rule["expr"]) for rule in rules)) == METRICS
    limits = {rule["alert"]: rule["expr"].rpartition("> ")[2] for rule in rules}
    assert float(limits["ArbStale"]) == 3600 + LATE_AFTER_SECONDS
    assert float(limits["ArbDrawdown"]) == NotifySettings().drawdown_pct
    table = [line for line in GUIDE.splitlines() if line.startswith("| ")]
    assert len([line for line in table if line.split("|")[1].strip() in {
        "nothing runs", "stale", "degraded for hours", "drawdown", "pending funding", "too many trades", "disk",
    }]) == len(rules)  # fmt: skip


def test_the_commands_of_the_guide_are_commands_that_there_are() -> None:
    names = [checked(words) for words in in_guide()]
    assert names.count("serve") == 3
    assert "paper-status" in names
    for target in re.findall(r"make -C \S+ (\w+)", GUIDE):
        assert re.search(rf"(?m)^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"))
    for path in re.findall(r"(?:/opt/arb/|`|--file )((?:deploy|configs)/[\w./]+\w)", GUIDE):
        assert (ROOT / path).exists(), path
    for choice in ("drawdown", "daily", "entry", "exit", "degraded", "recovered"):
        assert choice in GUIDE


@pytest.mark.parametrize("path", [path for path in sorted(DEPLOY.rglob("*")) if path.is_file()], ids=str)
def test_no_secret_and_no_address_of_anybody_stands_in_a_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"(?i)bot\d+:|password|api[_-]?key", text)
    assert set(re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", text)) <= {"127.0.0.1", "0.0.0.0"}
