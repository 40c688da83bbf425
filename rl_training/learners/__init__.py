"""What learns: algorithms behind one protocol, their state and their policies."""
