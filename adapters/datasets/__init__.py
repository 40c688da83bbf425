"""Data sets on disk: built, written, read, checked and cached here; everything else sees ``MarketData``."""
