"""What changed between two states of a book makes one of the other."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from market.depth import Levels, changed

SIDES = st.dictionaries(st.integers(1, 12), st.integers(1, 3), max_size=8)


def levels(side: dict[int, int]) -> Levels:
    prices = sorted(side)
    return Levels(np.array(prices, np.int64), np.array([side[one] for one in prices], np.int64))


@given(SIDES, SIDES)
def test_applying_the_changes_to_the_old_levels_gives_the_new_ones(old: dict[int, int], new: dict[int, int]) -> None:
    found = changed(levels(old), levels(new))
    told = dict(zip(found.prices.tolist(), found.lots.tolist(), strict=True))
    assert list(told) == sorted(told)
    assert all(old.get(price, 0) != lots for price, lots in told.items()), "nothing is told that did not change"
    followed = {price: lots for price, lots in (old | told).items() if lots}
    assert followed == new
