"""What stands between the outside and the engine: nothing that comes in is believed unless it can be true."""
