"""torch without its compiler, which nothing here uses."""

from __future__ import annotations

from torch.optim import Optimizer

MARKED = (Optimizer.add_param_group, Optimizer.state_dict, Optimizer.load_state_dict)
"""What our PPO calls of an optimiser and torch marks as not to be compiled."""


def leave_out_compiler() -> None:
    """Before the first optimiser is made: else torch imports its compiler, only to mark these functions for it.

    That takes as long as importing torch itself, and tens of MB, in every process that trains. Where torch marks in
    another way by now, this changes nothing.
    """
    for marked in MARKED:
        plain = getattr(marked, "__wrapped__", None)
        if plain is not None:
            # Where torch/_compile.py looks for the marked function; unmarked it does the same.
            vars(plain).setdefault("__dynamo_disable", plain)
