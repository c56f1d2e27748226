"""What a data folder keeps for life, because its journals depend on it, and what follows from it."""

from typing import Any, Literal

import asyncpg
import msgspec

from deploy import instruments
from deploy.errors import ServiceError
from deploy.recording_marks import Mark, check_marks
from deploy.settings import Options


def symbols_of(options: Options, market: instruments.Prepared) -> int:
    return options.symbols if market.listing is None else len(market.listing.listed)


def market_time(market: instruments.Prepared) -> Literal["replay", "wall"]:
    """A recording's even while none is played: what is stored must not become years older meanwhile."""
    return "replay" if market.listing is not None and market.listing.kind == "replay" else "wall"


async def keep_promises(connection: "asyncpg.Connection[Any]", options: Options, market: instruments.Prepared) -> None:
    """Partition counts, the kind of market and its recordings are for life, symbols are only ever added: journals depend
    on them."""
    now: dict[str, Any] = {
        "market": "simulated" if market.listing is None else market.listing.kind,
        "book_actors": options.book_actors,
        "account_actors": options.account_actors,
        "symbols": symbols_of(options, market),
        "recordings": market.recordings or (),
    }
    stored = await connection.fetchval("SELECT settings FROM exchange")
    if stored is not None:
        promised = msgspec.json.decode(stored)
        _check_market(promised.get("market", "simulated"), now["market"], options)
        for name in ("book_actors", "account_actors"):
            if promised[name] != now[name]:
                flag = name.replace("_", "-")
                raise ServiceError(
                    f"this data folder was made with --{flag} {promised[name]}, which cannot change. "
                    f"Start with --{flag} {promised[name]}, or use another --data."
                )
        if market.listing is None and options.symbols < promised["symbols"]:
            raise ServiceError(
                f"this data folder has {promised['symbols']} symbols; they cannot be taken away. "
                f"Start with --symbols {promised['symbols']} or more, or use another --data."
            )
        marks = msgspec.convert(promised.get("recordings", []), list[Mark])
        if market.recordings is None:
            now["recordings"] = marks
        else:
            check_marks(marks, market.recordings)
    await connection.execute(
        "INSERT INTO exchange (settings) VALUES ($1) ON CONFLICT (single) DO UPDATE SET settings = excluded.settings",
        msgspec.json.encode(now).decode(),
    )


def _check_market(promised: str, now: str, options: Options) -> None:
    """A folder with a venue's journal and no instruments.json lost it."""
    if promised == now:
        return
    if now == "simulated":
        raise ServiceError(
            f"the market of this data folder is of {promised}, but {options.data}/instruments.json is not there. "
            "Restore it from a backup, or use another --data."
        )
    raise ServiceError(
        f"the market of this data folder is {promised}, which cannot change to --feed {options.feed}. "
        f"Start with --feed {promised}, or use another --data."
    )
