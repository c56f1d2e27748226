"""Benchmarks: `python -m bench` lists them, `python -m bench NAME` runs one and prints a table.

Each starts an exchange of its own in a temporary folder, or measures a running one (`--url`, `--data`). Load comes from a
process of its own on the same machine, so it takes processor time from the exchange: read ratios before absolute figures.
What was measured, when, and why it came out so stands in RESULTS.md.
"""
