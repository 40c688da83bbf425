"""The formats that are read, each in a file of its own; ``registry`` lists them."""
