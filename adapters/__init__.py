"""Everything that touches the world: files, exchanges, the terminal, schedules; and the wiring of the rest."""
