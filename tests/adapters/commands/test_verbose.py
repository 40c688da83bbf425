"""``arb -v`` says where an error comes from; without it a mistake is one line."""

from __future__ import annotations

import pytest

from adapters.cli import main


def told(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_a_mistake_is_one_line_and_with_v_also_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["backtest", "--strategy", "cary"]
    plain, verbose = told(words, capsys), told(["-v", *words], capsys)
    assert plain.count("\n") == 1
    assert "Traceback" in verbose
    assert verbose.endswith(plain)
