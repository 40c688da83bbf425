"""Names from outside: one rule for all of them, file names that never collide, and the usual names of exchanges."""
