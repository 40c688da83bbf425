"""Funding now over exchanges: per coin the best pair, from live quotes, a data set or a paper trading state.

All numbers come from the one feature builder, so that they equal what a strategy sees at that hour.
"""
