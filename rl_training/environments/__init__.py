"""The engine as something to learn in: episodes, steps, rewards, gymnasium and vectorised."""
