"""The facts of a market by leg and hour: prices, settlements, schedules, notices, outages."""
