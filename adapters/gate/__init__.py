"""The one gate between what comes from outside and the engine's facts: numbers in, believed numbers and refusals out.

Live quotes, settled rates, candles, raw tables, data sets and recorded opportunities all pass it. A value is judged by
what it can be at all (``values``), by the other exchanges and by its own past (``prices``, ``anchored``, ``rates``,
``intervals``); ``market`` puts these together. What is refused is absent (nan, None) and never repaired. Judging an
hour uses nothing later than that hour, so hours one by one and a whole market at once give the same. Limits stand in
``limits``, each with the reason beside it. Nothing here reads files, clocks or exchanges.
"""
