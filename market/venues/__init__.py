"""Decoders of the exchanges that Raypit listens to."""
