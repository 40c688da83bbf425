"""The pure core: market arrays, the kernel of money, the hourly loop, features, observations, metrics.

Nothing in here opens a file, reads a clock, logs or draws random numbers; values go in and values come out.
"""
