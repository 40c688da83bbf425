"""Paper trading: live hours, or those of a data set, through the engine of the backtest, journalled in SQLite."""
