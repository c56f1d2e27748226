"""Profiles as they are told and set over the API."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from market.profile import NO_LATENCY, TIERS, FeeTier, FillModelName, Latency, TradingProfile, checked
from serve.errors import ApiError, Code
from serve.schema import Request

NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9_.-]{0,31}$"
ProfileName = Annotated[
    str, Meta(pattern=NAME_PATTERN, max_length=32, description="Of a named profile.", examples=["retail"])
]
TierName = Annotated[str, Meta(max_length=32, examples=["vip3"])]


class ProfileFields(Request, kw_only=True):
    """What is left out is as everybody has it. Latencies: milliseconds, constant, one of measured samples, or lognormal."""

    fees: FeeTier | TierName = "vip0"
    """A tier by name, `vip0` to `vip9`, or fees of one's own in parts per million."""
    fill_model: FillModelName = FillModelName.PROPORTIONAL
    """What a resting order assumes of a real venue's queue."""
    rate_limit: float = 1.0
    """Times the usual limits; 0: no limit."""
    order_latency: Latency = NO_LATENCY
    """Of what places or changes orders, on its way to the exchange."""
    cancel_latency: Latency = NO_LATENCY
    """Of cancels, on their way to the exchange."""
    ack_latency: Latency = NO_LATENCY
    """Of answers and of the private stream, on their way back."""
    data_latency: Latency = NO_LATENCY
    """Of market data on the user's own sockets."""


class SetProfile(ProfileFields, kw_only=True):
    """A whole profile, or `named` alone: a copy of a named one as it is now."""

    named: ProfileName | None = None


class NamedProfile(ProfileFields, kw_only=True):
    self_service: bool = False
    """Whoever registers may choose it."""


class NamedProfileView(msgspec.Struct):
    name: str
    self_service: bool
    profile: TradingProfile


class ProfileView(msgspec.Struct):
    username: str
    named: str | None
    """The named profile that it was copied from."""
    profile: TradingProfile


class NamedPath(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: ProfileName


class UserPath(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: Annotated[str, Meta(max_length=254, description="Username or e-mail address.", examples=["alice"])]


def profile_of(asked: ProfileFields) -> TradingProfile:
    """ApiError names the field that does not hold."""
    fees = asked.fees
    if isinstance(fees, str):
        if fees not in TIERS:
            raise ApiError(Code.VALIDATION, f"There is no such tier; choose one of {', '.join(TIERS)}.", "fees")
        fees = TIERS[fees]
    made = TradingProfile(
        fees, asked.fill_model, asked.rate_limit, asked.order_latency, asked.cancel_latency, asked.ack_latency,
        asked.data_latency,
    )  # fmt: skip
    try:
        return checked(made)
    except ValueError as error:
        field, _, text = str(error).partition(": ")
        raise ApiError(Code.VALIDATION, f"It must be {text}.", field) from None
