"""The campaigns on bundles and on state, a few dozen cases each; the long ones are run by hand."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FUZZING = Path(__file__).parent / "fuzzing"


def campaign(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"fuzzing_{name}", FUZZING / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["bundles", "checkpoints"])
def test_what_was_altered_is_refused(name: str, tmp_path: Path) -> None:
    module, outcomes = campaign(name), Counter[str]()
    for seed in range(80):
        folder = tmp_path / str(seed)
        folder.mkdir()
        outcomes[module.case(np.random.default_rng(seed), folder)] += 1
    assert outcomes["refused"] > 50
    assert name == module.NAME
