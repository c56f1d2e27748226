"""The HTTP face of API keys: auth/keys."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec

from serve.auth.api_keys import MAX_ADDRESSES, MAX_KEYS_PER_USER, MAX_LABEL_CHARS, ApiKeys
from serve.auth.key_material import KEY_CHARS, MAX_PEM_CHARS, KeyKind
from serve.auth.key_store import KeyRow
from serve.auth.principal import SIGNED_IN
from serve.errors import Code
from serve.http.endpoint import Context, Endpoint

OpenAccount = Callable[[int], Awaitable[None]]

_EXAMPLE_KEY = "vP3kq9".ljust(KEY_CHARS, "x")
Label = Annotated[str, msgspec.Meta(max_length=MAX_LABEL_CHARS, description="For you.", examples=["grid bot"])]
Addresses = Annotated[
    list[str],
    msgspec.Meta(
        max_length=MAX_ADDRESSES,
        description="IP addresses or networks it may be used from; empty: any.",
        examples=[["192.0.2.7", "198.51.100.0/24"]],
    ),
]


class CreateKey(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    label: Label = ""
    public_key: (
        Annotated[
            str,
            msgspec.Meta(max_length=MAX_PEM_CHARS, examples=["-----BEGIN PUBLIC KEY-----\nMCowBQYDK2Vw…"]),
        ]
        | None
    ) = None
    """An Ed25519 or RSA (2048 to 4096 bits) public key as PEM. Left out: an HMAC key with a secret is made."""
    can_read: bool = True
    """May ask for the account, its orders and trades."""
    can_trade: bool = True
    """May place and cancel orders."""
    addresses: Addresses = []


class ChangeKey(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What is left out stays."""

    label: Label | None = None
    can_read: bool | None = None
    can_trade: bool | None = None
    addresses: Addresses | None = None


class KeyPath(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    api_key: Annotated[str, msgspec.Meta(max_length=KEY_CHARS, examples=[_EXAMPLE_KEY])]


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    api_key: Annotated[str, msgspec.Meta(examples=[_EXAMPLE_KEY])]
    """For the X-MBX-APIKEY header."""
    kind: KeyKind
    label: str
    can_read: bool
    can_trade: bool
    addresses: list[str]
    created_at: Annotated[str, msgspec.Meta(description="UTC, ISO 8601.", examples=["2026-11-01T09:00:00.000000Z"])]
    last_used_at: Annotated[str, msgspec.Meta(examples=["2026-11-01T09:00:00.000000Z"])] | None
    last_used_from: Annotated[str, msgspec.Meta(examples=["192.0.2.7"])] | None


class CreatedKey(KeyView, frozen=True, kw_only=True):
    secret: Annotated[str, msgspec.Meta(examples=["T8mZc1".ljust(KEY_CHARS, "y")])] | None
    """Of an HMAC key; told this once."""


class KeyList(msgspec.Struct, frozen=True):
    keys: list[KeyView]


def view_of(row: KeyRow) -> KeyView:
    return KeyView(**_told(row))


def _told(row: KeyRow) -> dict[str, Any]:
    used = row.last_used_at
    return {
        "api_key": row.api_key,
        "kind": row.kind,
        "label": row.label,
        "can_read": row.can_read,
        "can_trade": row.can_trade,
        "addresses": row.addresses,
        "created_at": row.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "last_used_at": None if used is None else used.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "last_used_from": row.last_used_from,
    }


def key_endpoints(keys: ApiKeys, open_account: OpenAccount) -> list[Endpoint]:
    async def listed(context: Context) -> KeyList:
        return KeyList([view_of(row) for row in await keys.of_user(context.user.user_id)])

    async def create(context: Context) -> CreatedKey:
        body: CreateKey = context.body
        made = await keys.create(
            context.user.user_id, context.user.role, body.label, body.public_key, can_read=body.can_read,
            can_trade=body.can_trade, addresses=body.addresses, address=context.client_address,
        )  # fmt: skip
        await open_account(context.user.user_id)
        return CreatedKey(secret=made.secret, **_told(made.row))

    async def change(context: Context) -> KeyView:
        body: ChangeKey = context.body
        user = context.user
        row = await keys.change(
            user.user_id, user.role, context.params.api_key, body.label, body.can_read, body.can_trade, body.addresses,
            context.client_address,
        )  # fmt: skip
        return view_of(row)

    async def revoke(context: Context) -> None:
        await keys.revoke(context.params.api_key, context.user.user_id, context.client_address)

    tags = ("keys",)
    return [
        Endpoint("GET", "auth/keys", listed, response=KeyList, roles=SIGNED_IN, tags=tags, summary="Your API keys",
                 errors=(Code.UNAVAILABLE,)),
        Endpoint("POST", "auth/keys", create, request=CreateKey, response=CreatedKey, status=201, roles=SIGNED_IN,
                 tags=tags, summary="Make an API key",
                 description=f"For programs that speak the Binance API (`/api/v3`, `/ws-api/v3`). The secret of an HMAC key "
                 f"is told once. At most {MAX_KEYS_PER_USER} keys a user.",
                 errors=(Code.TOO_MANY_KEYS, Code.UNAVAILABLE)),
        Endpoint("PATCH", "auth/keys/{api_key}", change, request=ChangeKey, params=KeyPath, response=KeyView,
                 roles=SIGNED_IN, tags=tags, summary="Change what a key may",
                 errors=(Code.UNKNOWN_KEY, Code.UNAVAILABLE)),
        Endpoint("DELETE", "auth/keys/{api_key}", revoke, params=KeyPath, status=204, roles=SIGNED_IN, tags=tags,
                 summary="Revoke a key", description="At once, for ever.", errors=(Code.UNKNOWN_KEY, Code.UNAVAILABLE)),
    ]  # fmt: skip
