"""Which code made a result, and by which command."""

from __future__ import annotations

import shlex
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path


@cache
def code_version() -> str:
    """Version of the package, with the commit of the checkout it runs from where there is one."""
    here = Path(__file__).resolve().parents[2]
    asked = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        found = ""
    return f"{version('arb')}+{found}" if found else version("arb")


def command_line() -> str:
    """The command as it was typed."""
    return shlex.join(["arb", *sys.argv[1:]])
