"""Does a strategy see the future? Other futures, and what it opens, are put to it."""
