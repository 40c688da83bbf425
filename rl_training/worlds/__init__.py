"""Worlds to learn in: markets made out of a recorded one, and the rules that hold in them."""
