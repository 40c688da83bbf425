"""``arb serve``: what paper trading does, for people and programs. It only reads."""
