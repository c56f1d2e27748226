"""Clients pointed at Raypit by nothing but what `raypit keys new` prints."""

import json
import urllib.request
from typing import Any, Final

from deploy.keys import Made, snippets
from tests.system.conftest import Exchange

HEADINGS: Final = ("# ccxt", "# python-binance", "# binance-sdk-spot", "# freqtrade, in config.json")


def snippet(printed: str, heading: str) -> str:
    """The part under this heading."""
    start = printed.index(heading) + len(heading)
    ends = [at for one in HEADINGS if (at := printed.find(one, start)) >= 0]
    return printed[start : min(ends, default=len(printed))].strip()


def paste(made: Made, heading: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run the snippet where its imports are `names`; what it leaves behind."""
    scope = dict(names)
    exec(snippet(snippets(made), heading), scope)
    return scope


def new_account(exchange: Exchange, **restrictions: Any) -> Made:
    """A user with the initial money, and a key of his."""
    user = exchange.register("bot")
    request = urllib.request.Request(
        f"{exchange.url}/api/auth/keys",
        json.dumps(restrictions).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {user.access_token}"},
    )
    with urllib.request.urlopen(request) as answer:
        made = json.load(answer)
    return Made(made["api_key"], made["secret"], exchange.url, exchange.url.replace("http", "ws", 1))
