"""What a strategy survives: the same backtest under dearer costs, late fills, failures, outages, size and leverage."""
