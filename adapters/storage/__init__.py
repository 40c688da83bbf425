"""Our own files: how they are written whole, sealed, read back and replaced."""
