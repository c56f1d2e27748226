"""Profiles: what does not hold is refused by name, delays repeat, and two accounts of one market differ."""

import msgspec
import numpy as np
import pytest

from actors.account_ops import Op, apply_ops
from market.ledger import Ledger
from market.profile import (
    TIERS,
    Constant,
    Empirical,
    FeeTier,
    FillModelName,
    Lognormal,
    NoLatency,
    Path,
    TradingProfile,
    checked,
    delay_ns,
)
from tests.unit.test_ledger import ALICE, BOB, PAIR

BAD = {
    "fees.maker_ppm": TradingProfile(fees=FeeTier("own", -1, 0)),
    "fees.taker_ppm": TradingProfile(fees=FeeTier("own", 0, 1_000_000)),
    "rate_limit": TradingProfile(rate_limit=-1),
    "order_latency.ms": TradingProfile(order_latency=Constant(-1)),
    "cancel_latency.samples_ms": TradingProfile(cancel_latency=Empirical(())),
    "ack_latency.sigma": TradingProfile(ack_latency=Lognormal(10, 11, 50)),
    "data_latency.cap_ms": TradingProfile(data_latency=Lognormal(10, 1, float("nan"))),
}


@pytest.mark.parametrize("field", BAD)
def test_what_does_not_hold_is_refused_by_name(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        checked(BAD[field])


def test_delays_repeat_and_differ_by_account_path_and_number() -> None:
    one = Lognormal(20, 0.5, 100, seed=7)
    draws = [delay_ns(one, 5, Path.ORDER, n) for n in range(2000)]
    assert draws == [delay_ns(one, 5, Path.ORDER, n) for n in range(2000)]
    assert draws != [delay_ns(one, 6, Path.ORDER, n) for n in range(2000)]
    assert draws != [delay_ns(one, 5, Path.CANCEL, n) for n in range(2000)]
    assert max(draws) <= 100_000_000
    assert 18e6 < np.median(draws) < 22e6
    told = {delay_ns(Empirical((1, 2, 3)), 5, Path.ACK, n) for n in range(100)}
    assert told == {1_000_000, 2_000_000, 3_000_000}
    assert delay_ns(Constant(2.5), 5, Path.ACK, 0) == 2_500_000
    assert delay_ns(NoLatency(), 5, Path.ACK, 0) == 0


def test_a_journaled_profile_is_of_its_account_alone_and_in_the_snapshot() -> None:
    ledger = Ledger([PAIR])
    for account in (ALICE, BOB):
        ledger.open(account, 1000, 1000)
    before = ledger.digest()
    document = msgspec.json.encode(TradingProfile(TIERS["vip3"], FillModelName.BACK))
    apply_ops(ledger, [Op("profile", ALICE, profile=document)], 1)
    assert ledger.fees(ALICE) == (400, 600)
    assert ledger.fees(BOB) == (1000, 1000)
    restored = Ledger.restore([PAIR], ledger.snapshot())
    assert restored.digest() == ledger.digest() != before
