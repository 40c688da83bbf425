"""torch's compiler stays out of processes that train."""

from __future__ import annotations

import subprocess
import sys


def test_an_optimiser_is_made_kept_and_restored_without_it() -> None:
    """In a process of its own: a test before this one may have brought it in."""
    program = (
        "import sys, torch; from rl_training.learners.without_compiler import leave_out_compiler; "
        "leave_out_compiler(); adam = torch.optim.Adam([torch.zeros(1)]); adam.load_state_dict(adam.state_dict()); "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
