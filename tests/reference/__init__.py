"""Slow, obvious twins of optimised parts: written from the specification, kept for ever as oracles."""
