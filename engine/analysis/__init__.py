"""Measured afterwards from the records of a run: metrics, luck, hindsight, leaks."""
