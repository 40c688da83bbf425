"""The synthetic sample data set: a seeded generator and the statistics that it is calibrated on.

Nothing here knows a strategy: the generator is fitted to statistics of real markets and to nothing else.
"""
