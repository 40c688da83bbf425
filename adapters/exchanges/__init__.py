"""Public market data of exchanges through ccxt: live quotes, candles and settled funding. Nothing here can trade.

``collector.collect_quotes`` is one look at all exchanges, ``history.fetch_history`` the past of any legs,
``download.download`` the raw tables on disk, ``live.LiveMarket`` the same three for callers that do not use asyncio.
Only public endpoints are called, and a configuration that carries a key is refused (``settings``).
"""
