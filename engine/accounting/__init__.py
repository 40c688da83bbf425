"""Money, laid out as the hour protocol; ``booking`` is the only place that moves cash."""
