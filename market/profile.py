"""What one account meets of the venue: its fees, its fill model, its rate limit, and how late it is. Pure.

The n-th delay of an account is a function of (seed, account, path, n): a replay repeats it. Raises ValueError that
names the field.
"""

import math
from enum import IntEnum, StrEnum
from statistics import NormalDist
from typing import Final

import msgspec

from market.enums import FILL_MODEL_BIT, FillModel

PPM: Final = 1_000_000
MAX_LATENCY_MS: Final = 4_000.0
"""There and back it is less than a gateway waits for an answer."""
MAX_SAMPLES: Final = 10_000
MAX_RATE_LIMIT: Final = 1_000.0
_WORD: Final = (1 << 64) - 1


class Path(IntEnum):
    """What is delayed."""

    ORDER = 0
    CANCEL = 1
    ACK = 2
    DATA = 3


class FillModelName(StrEnum):
    """`market.enums.FillModel` by name."""

    PROPORTIONAL = "PROPORTIONAL"
    BACK = "BACK"
    TOUCH = "TOUCH"
    THROUGH = "THROUGH"


class NoLatency(msgspec.Struct, frozen=True, tag="none", tag_field="kind", forbid_unknown_fields=True):
    pass


class Constant(msgspec.Struct, frozen=True, tag="constant", tag_field="kind", forbid_unknown_fields=True):
    ms: float


class Empirical(msgspec.Struct, frozen=True, tag="empirical", tag_field="kind", forbid_unknown_fields=True):
    """One of the measured delays, each as likely as any other."""

    samples_ms: tuple[float, ...]
    seed: int = 0


class Lognormal(msgspec.Struct, frozen=True, tag="lognormal", tag_field="kind", forbid_unknown_fields=True):
    """Seeded: median_ms x exp(sigma x normal), at most cap_ms."""

    median_ms: float
    sigma: float
    cap_ms: float
    seed: int = 0


Latency = NoLatency | Constant | Empirical | Lognormal
NO_LATENCY: Final = NoLatency()


class FeeTier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    maker_ppm: int
    taker_ppm: int


# The venue's published spot tiers (https://www.binance.com/en/fee/schedule: regular pairs, no BNB discount) as known when
# this was written: they must be checked against that page before anybody relies on them.
_PUBLISHED: Final = (
    (1000, 1000), (900, 1000), (800, 1000), (400, 600), (400, 520),
    (250, 310), (200, 290), (190, 280), (160, 250), (110, 230),
)  # fmt: skip
TIERS: Final = {f"vip{k}": FeeTier(f"vip{k}", *fees) for k, fees in enumerate(_PUBLISHED)}


class TradingProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fees: FeeTier = TIERS["vip0"]
    fill_model: FillModelName = FillModelName.PROPORTIONAL
    rate_limit: float = 1.0
    """Times the usual limits; 0: no limit."""
    order_latency: Latency = NO_LATENCY
    """From the gateway to the account, of what places or changes orders."""
    cancel_latency: Latency = NO_LATENCY
    ack_latency: Latency = NO_LATENCY
    """Of answers and of the private stream, on their way back."""
    data_latency: Latency = NO_LATENCY
    """Of market data, on the account's own sockets."""

    @property
    def flags(self) -> int:
        """Its bits of `COMMAND.flags`."""
        return int(FillModel[self.fill_model]) << FILL_MODEL_BIT


def checked(profile: TradingProfile) -> TradingProfile:
    """The profile itself; ValueError names the field that does not hold."""
    for name, ppm in (("maker_ppm", profile.fees.maker_ppm), ("taker_ppm", profile.fees.taker_ppm)):
        if not 0 <= ppm < PPM:
            raise ValueError(f"fees.{name}: a number from 0 to {PPM - 1}, not {ppm}")
    if not 0 <= profile.rate_limit <= MAX_RATE_LIMIT:
        raise ValueError(f"rate_limit: a number from 0 (no limit) to {MAX_RATE_LIMIT:g}")
    for path in Path:
        _check_latency(f"{path.name.lower()}_latency", latency_of(profile, path))
    return profile


def latency_of(profile: TradingProfile, path: Path) -> Latency:
    return (profile.order_latency, profile.cancel_latency, profile.ack_latency, profile.data_latency)[path]


def _check_latency(field: str, one: Latency) -> None:
    if isinstance(one, Constant):
        _check_ms(f"{field}.ms", one.ms)
    elif isinstance(one, Empirical):
        if not 1 <= len(one.samples_ms) <= MAX_SAMPLES:
            raise ValueError(f"{field}.samples_ms: 1 to {MAX_SAMPLES} delays")
        for ms in one.samples_ms:
            _check_ms(f"{field}.samples_ms", ms)
    elif isinstance(one, Lognormal):
        _check_ms(f"{field}.median_ms", one.median_ms)
        _check_ms(f"{field}.cap_ms", one.cap_ms)
        if not 0 <= one.sigma <= 10:
            raise ValueError(f"{field}.sigma: a number from 0 to 10")


def _check_ms(field: str, ms: float) -> None:
    if not 0 <= ms <= MAX_LATENCY_MS:
        raise ValueError(f"{field}: milliseconds from 0 to {MAX_LATENCY_MS:g}")


def delay_ns(one: Latency, account: int, path: Path, n: int) -> int:
    """The n-th delay of the account on this path, in ns."""
    if isinstance(one, NoLatency):
        return 0
    if isinstance(one, Constant):
        return round(one.ms * 1e6)
    bits = _mixed(_mixed(_mixed(one.seed & _WORD) ^ account) ^ int(path)) ^ n
    uniform = ((_mixed(bits) >> 11) + 0.5) / (1 << 53)
    if isinstance(one, Empirical):
        return round(one.samples_ms[int(uniform * len(one.samples_ms))] * 1e6)
    normal = NormalDist().inv_cdf(min(max(uniform, 1e-15), 1 - 1e-15))
    return round(min(one.median_ms * math.exp(one.sigma * normal), one.cap_ms) * 1e6)


def _mixed(word: int) -> int:
    """splitmix64."""
    word = (word + 0x9E3779B97F4A7C15) & _WORD
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
    return word ^ (word >> 31)
