"""Places Raypit on a machine: the command line, the embedded services, the schema, the checks before a start.

May import every other folder; nobody but `bench` and `tests` imports it.
"""
