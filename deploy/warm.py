"""Compiles the kernels of one part into numba's cache, in a process of its own: no actor ever compiles under an order."""

import sys
from collections.abc import Callable
from typing import Final

from market import book, ledger
from market.universe import instruments
from serve import packed_kernel

PARTS: Final[dict[str, Callable[[], None]]] = {
    "book": book.warm,
    "ledger": lambda: ledger.warm(instruments(1)),
    "packed": packed_kernel.warm,
}

if __name__ == "__main__":
    PARTS[sys.argv[1]]()
