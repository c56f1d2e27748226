"""Compiles every kernel into numba's cache, in a process of its own: no actor ever compiles under an order."""

from market import ledger
from market.book import warm
from market.universe import instruments

if __name__ == "__main__":
    warm()
    ledger.warm(instruments(1))
