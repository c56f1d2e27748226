"""The exchange's imperative shell: it remembers.

Actors own the state, journal it before anyone hears of it, and talk to each other over length-prefixed streams. Ray
places, names and revives them. May import `market` and `ml`; never `serve`.
"""
