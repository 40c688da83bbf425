"""What is done with history: play, evaluate, tune, train, stress, compare. Values and files; nothing is printed."""
