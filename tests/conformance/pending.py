"""Rows of the matrix that wait for a part of Raypit that is not there yet: test -> what it waits for.

A pending row runs and must fail; when it begins to pass, the run fails until it is taken off here.
"""

from typing import Final

PENDING: Final[dict[str, str]] = {}
