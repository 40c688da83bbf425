"""Learning: gymnasium and vectorised environments over the engine's kernel, PPO, population based training."""
