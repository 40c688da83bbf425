"""Settings: YAML, ``--set``, strategies by name, search grids. What is configured is checked here, once."""
