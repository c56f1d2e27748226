"""The venue's API when what stands behind it is away, slow or full: its codes, never an exception."""

import hmac
import time
from typing import Any, Final

import msgspec
import pytest

from actors.config import Settings
from actors.errors import LinkDown, OutcomeUnknown, Refused
from serve.auth.api_keys import ApiKeys, Key
from serve.auth.key_material import KeyKind, Vault
from serve.binance.endpoint import RestOperation
from serve.binance.limits import BAN_AFTER
from serve.binance.table import BinanceApi
from serve.gateway import Gateway
from serve.http.operation import Reply

SETTINGS: Final = Settings(data_dir="/nowhere", run_dir="/nowhere", pg_dsn="", redis_url="")
API_KEY: Final = "k" * 64
SECRET: Final = b"s" * 64
ORDER: Final = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001&price=50000"


class Accounts:
    """An account partition's client that fails in one way."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure

    async def ask_for(self, _: bytes) -> Any:
        raise self.failure

    async def call(self, *_: Any) -> Any:
        raise self.failure


def api_over(failure: Exception) -> BinanceApi:
    gateway = Gateway(SETTINGS)
    gateway._clients = [Accounts(failure)]  # type: ignore[list-item]
    keys = ApiKeys(None, Vault(b"x" * 32))  # type: ignore[arg-type]
    keys._known[API_KEY] = Key(API_KEY, 1, "alice", KeyKind.HMAC, True, True, (), SECRET)
    keys._checked_at = time.monotonic() + 1000
    return BinanceApi(gateway, keys)


async def ask(api: BinanceApi, method: str, path: str, query: str, address: str = "192.0.2.1") -> Reply:
    (operation,) = [
        one
        for one in api.operations
        if isinstance(one, RestOperation) and (one.method, one.path) == (method, f"/api/v3/{path}")
    ]
    payload = f"{query}&timestamp={time.time_ns() // 1_000_000}".lstrip("&")
    signed = f"{payload}&signature={hmac.digest(SECRET, payload.encode(), 'sha256').hex()}"
    scope = {"query_string": signed.encode()}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    headers = {b"x-mbx-apikey": API_KEY.encode()}
    return await operation.run(scope, receive, headers, "id", address, {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("failure", "status", "code", "text"),
    [
        (LinkDown("away"), 503, -1001, "Internal error; unable to process your request. Please try again."),
        (OutcomeUnknown("late"), 504, -1007,
         "Timeout waiting for response from backend server. Send status unknown; execution status unknown."),
        (Refused("OVERLOADED", "too much waits"), 503, -1008,
         "Server is currently overloaded with other requests. Please try again in a few minutes."),
        (RuntimeError("a bug"), 500, -1000, "An unknown error occurred while processing the request."),
    ],
)  # fmt: skip
async def test_when_the_account_fails(failure: Exception, status: int, code: int, text: str) -> None:
    reply = await ask(api_over(failure), "POST", "order", ORDER)
    assert (reply.status, msgspec.json.decode(reply.content)) == (status, {"code": code, "msg": text})
    assert dict(reply.headers)[b"x-mbx-used-weight-1m"] == b"1", "what fails costs its weight"


async def test_a_question_that_cannot_be_asked() -> None:
    reply = await ask(api_over(LinkDown("away")), "GET", "account", "")
    assert (reply.status, msgspec.json.decode(reply.content)["code"]) == (503, -1001)


async def test_what_cannot_be_read_is_counted_too() -> None:
    """Nobody escapes a ban by sending nonsense."""
    api = api_over(LinkDown("away"))
    api.venue.limits.charge("192.0.2.1", 6000, time.time())
    statuses = [(await ask(api, "GET", "account", "a=1&a=1")).status for _ in range(BAN_AFTER + 1)]
    assert set(statuses[:-2]) == {429}
    assert statuses[-1] == 418
    assert (await ask(api, "GET", "account", "a=1&a=1", "192.0.2.2")).status == 400


async def test_every_route_has_one_place_and_most_a_method_of_the_websocket_api() -> None:
    table = api_over(LinkDown("away")).routes
    assert len({(one.method, one.full_path) for one in table}) == len(table)
    named = [one.ws_method for one in table if one.ws_method is not None]
    assert len(set(named)) == len(named)
    assert {"order.place", "account.status", "ticker.24hr", "trades.recent", "orderList.place.opoco"} <= set(named)
    assert [one.path for one in table if one.ws_method is None and "userDataStream" not in one.path] == [
        "/sapi/v1/asset/tradeFee"
    ]
