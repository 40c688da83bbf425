"""Short campaigns over names and raw tables; the long ones run outside of the suite."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from fuzzing import names, raw_tables


@pytest.mark.parametrize(("campaign", "cases"), [(names, 300), (raw_tables, 60)], ids=["names", "raw tables"])
def test_nothing_wrong_is_accepted(campaign: ModuleType, cases: int, tmp_path: Path) -> None:
    outcomes: Counter[str] = Counter()
    for number in range(cases):
        folder = tmp_path / str(number) / "case"
        folder.mkdir(parents=True)
        outcomes[campaign.case(np.random.default_rng([11, number]), folder)] += 1
    assert set(outcomes) == {"accepted", "refused"}
    assert outcomes.total() == cases
