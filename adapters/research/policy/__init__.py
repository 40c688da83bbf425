"""``arb make-policy``: the recipe in every fold and seed, judged, selected, and written as a bundle."""
