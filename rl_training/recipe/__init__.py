"""How the shipped policy is made: worlds to learn in, imitation of a rule in them, PPO that is held near it."""
