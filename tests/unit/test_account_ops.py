"""What an account's own journal may hold: a group applies as a whole or is refused as a whole."""

import pytest

from actors.account_ops import Op, apply_ops, check_ops
from market.instrument import INT_LIMIT
from market.ledger import Ledger, UnknownAccount
from tests.unit.test_ledger import ALICE, BOB, CAROL, PAIR, A, Q


@pytest.fixture
def ledger() -> Ledger:
    made = Ledger([PAIR])
    for account in (ALICE, BOB):
        made.open(account, 0, 0)
        made.post(account, Q, 100, 0)
    return made


def post(units: int, account: int = ALICE, asset: int = Q) -> Op:
    return Op("post", account, asset, units)


GOOD = {
    "all of it in two": [post(-60), post(-40)],
    "two assets": [post(-100), post(5, asset=A)],
    "two accounts": [post(-100), post(-100, BOB)],
    "open with deposits": [Op("open", CAROL), post(7, CAROL), post(8, CAROL), post(1, CAROL, A)],
    "open again changes nothing": [Op("open", ALICE), post(-100)],
    "as much as fits": [post(INT_LIMIT - 201, asset=A)],
}
BAD = {
    "two debits of one asset": [post(-60), post(-60)],
    "a credit does not help an earlier debit": [post(-101), post(50)],
    "nor a later one, debits come first": [post(50), post(-101)],
    "a fresh account has nothing": [Op("open", CAROL), post(7, CAROL), post(-1, CAROL)],
    "open already, and not more for it": [Op("open", ALICE), post(-101)],
    "two credits that overflow together": [post(INT_LIMIT // 2), post(INT_LIMIT // 2, BOB)],
    "many credits of one account": [post(INT_LIMIT // 4)] * 5,
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_let_through_applies(ledger: Ledger, name: str) -> None:
    check_ops(ledger, GOOD[name])
    apply_ops(ledger, GOOD[name], 1)
    assert not ledger.faults()
    assert not ledger.drift().any()


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_hold_as_a_whole_is_refused_and_nothing_moved(ledger: Ledger, name: str) -> None:
    before = ledger.digest()
    with pytest.raises(ValueError, match=r"free units|would not fit"):
        check_ops(ledger, BAD[name])
    assert ledger.digest() == before


def test_an_account_that_nobody_opened(ledger: Ledger) -> None:
    for op in (Op("pause", CAROL), Op("forget", CAROL), post(1, CAROL)):
        with pytest.raises(UnknownAccount):
            check_ops(ledger, [op])
