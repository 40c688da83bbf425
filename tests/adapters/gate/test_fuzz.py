"""A few cases of the campaigns of the gate; many more are run by hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fuzzing import exchange_answers, market_values


@pytest.mark.parametrize("campaign", [exchange_answers, market_values], ids=lambda campaign: campaign.NAME)
def test_nothing_absurd_is_believed(campaign: object, tmp_path: Path) -> None:
    case = campaign.case  # type: ignore[attr-defined]  # a module
    found = Counter(case(np.random.default_rng(seed), tmp_path) for seed in range(80))
    assert set(found) == {"refused", "accepted"}
    assert list(tmp_path.iterdir()) == []
