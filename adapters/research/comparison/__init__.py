"""Two runs over the same hours: where their P&L differs, and by which cause."""
