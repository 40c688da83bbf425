"""The endpoints, one module a subject; each hands on what functions of the house say."""
