"""Population based training: a population of PPO agents that copy the best of them and explore around it.

Agents are values: hyperparameters and a checkpoint of arrays. Who trains them, in which process and order, makes no
difference to what they become.
"""
