"""Population based training around the pure part in ``rl_training.pbt``: processes, files, resuming, reports."""
