"""The command line in this process."""

from __future__ import annotations

import pytest

from adapters.cli import main


def arb(*arguments: object) -> int:
    """Exit code of a command run in this process."""
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    code = stopped.value.code
    assert isinstance(code, int)
    return code
