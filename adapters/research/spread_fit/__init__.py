"""Half-spreads by 24 h volume, fitted on recorded quotes: the table of ``spread_model: volume``."""
