"""`raypit keys`: API keys made by the operator of a running exchange, and how to point a program at it."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from deploy.data_dir import DataDir
from deploy.state_file import RunningState
from serve.auth import store
from serve.auth.api_keys import ApiKeys
from serve.auth.key_material import Vault
from serve.auth.key_store import KeyRow
from serve.auth.principal import Role
from serve.auth.profile import check_names
from serve.errors import ApiError

CREATED_LABEL: Final = "raypit keys"


class KeysError(ValueError):
    """Says what is wrong and what to do."""


class Made(msgspec.Struct):
    api_key: str
    secret: str | None
    base_url: str
    ws_url: str


@contextlib.asynccontextmanager
async def _keys(data: Path, state: RunningState) -> AsyncIterator[tuple[ApiKeys, "asyncpg.Pool[Any]"]]:
    pool = await asyncpg.create_pool(state.pg_dsn, min_size=1, max_size=1)
    try:
        yield ApiKeys(pool, Vault(DataDir(data).token_secret())), pool
    except ApiError as error:
        raise KeysError(error.message) from None
    finally:
        await pool.close()


async def new(
    data: Path, state: RunningState, username: str, *, create: bool, label: str, public_key: str | None,
    can_trade: bool, addresses: list[str],
) -> Made:  # fmt: skip
    """A key of this user; with `create` a user who is not there is made, without a password: it trades by keys alone."""
    async with _keys(data, state) as (keys, pool):
        user = await _user(pool, username, create)
        made = await keys.create(
            user.user_id, user.role, label or CREATED_LABEL, public_key, can_trade=can_trade, addresses=addresses
        )
    ws_url = state.url.replace("http", "ws", 1)
    return Made(made.row.api_key, made.secret, state.url, ws_url)


async def _user(pool: "asyncpg.Pool[Any]", username: str, create: bool) -> store.User:
    async with store.database(pool) as connection:
        user = await store.find_user(connection, username)
        if user is None and create:
            check_names(username, None)
            user = await store.add_user(connection, username, None, None, Role.USER)
            await store.audit(connection, "created_for_keys", user_id=user.user_id)
    if user is None:
        raise KeysError(
            f"there is no user {username}. Register one (POST /api/auth/register), or add --create for a user "
            "that trades by API keys alone."
        )
    if user.role is Role.AGENT:
        raise KeysError(f"{username} is a simulated participant and cannot have keys.")
    return user


async def listed(data: Path, state: RunningState, username: str | None) -> list[KeyRow]:
    async with _keys(data, state) as (keys, pool):
        user_id = None if username is None else (await _user(pool, username, create=False)).user_id
        return await keys.of_user(user_id)


async def revoke(data: Path, state: RunningState, api_key: str) -> None:
    async with _keys(data, state) as (keys, _):
        await keys.revoke(api_key, None)


def snippets(made: Made) -> str:
    """How four clients are pointed here, ready to paste."""
    key, secret, base, ws = made.api_key, made.secret or "<your private key>", made.base_url, made.ws_url
    return f'''\
# ccxt
exchange = ccxt.binance({{
    "apiKey": "{key}",
    "secret": "{secret}",
    "urls": {{"api": {{
        "public": "{base}/api/v3",
        "private": "{base}/api/v3",
        "sapi": "{base}/sapi/v1",
        "ws": {{"spot": "{ws}/stream/ws", "ws-api": {{"spot": "{ws}/ws-api/v3"}}}},
    }}}},
    "options": {{"fetchMarkets": {{"types": ["spot"]}}, "fetchCurrencies": False, "fetchMargins": False}},
}})

# python-binance
Client.API_URL = AsyncClient.API_URL = "{base}/api"
Client.MARGIN_API_URL = AsyncClient.MARGIN_API_URL = "{base}/sapi"
Client.WS_API_URL = AsyncClient.WS_API_URL = "{ws}/ws-api/v3"
BinanceSocketManager.STREAM_URL = "{ws}/"
client = Client("{key}", "{secret}")

# binance-sdk-spot
client = Spot(
    config_rest_api=ConfigurationRestAPI(api_key="{key}", api_secret="{secret}", base_path="{base}"),
    config_ws_api=ConfigurationWebSocketAPI(api_key="{key}", api_secret="{secret}", stream_url="{ws}/ws-api/v3"),
    config_ws_streams=ConfigurationWebSocketStreams(stream_url="{ws}"),
)

# freqtrade, in config.json
"exchange": {{
    "name": "binance", "key": "{key}", "secret": "{secret}",
    "ccxt_config": {{
        "urls": {{"api": {{"public": "{base}/api/v3", "private": "{base}/api/v3",
                         "sapi": "{base}/sapi/v1",
                         "ws": {{"spot": "{ws}/stream/ws", "ws-api": {{"spot": "{ws}/ws-api/v3"}}}}}}}},
        "options": {{"fetchMarkets": {{"types": ["spot"]}}, "fetchCurrencies": false, "fetchMargins": false}}
    }}
}}'''
