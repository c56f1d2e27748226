"""The exchange's pure core: it decides.

Synchronous and deterministic: no Ray, no sockets, no clock (time is an argument), no randomness but a seeded
generator that is passed in, no floating point near money. Imports nothing from the other folders.
"""
