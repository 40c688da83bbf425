"""Trading rules and learned policies: pure functions from what is known at an hour to orders."""
