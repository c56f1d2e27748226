"""`raypit profile`: what the operator of a running exchange gives an account, straight to the account's actor."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from actors.account_client import AccountClient
from actors.config import Settings
from actors.errors import LinkDown, Refused
from deploy.state_file import RunningState
from market.profile import Constant, Empirical, FillModelName, Latency, Lognormal, NoLatency
from serve.errors import ApiError, Code
from serve.profile_schema import SetProfile, profile_of
from serve.profiles import Profiles, Stored

ANSWER_S: Final = 10.0
LATENCY_WORDS: Final = "`25ms`, `lognormal:20ms,0.5,200ms` (median, sigma, most), `samples:18,22,40` (ms) or `none`"
_MS: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|us)?")
_UNITS: Final = {None: 1.0, "ms": 1.0, "s": 1000.0, "us": 0.001}


class ProfileError(ValueError):
    """Says what is wrong, with the option, and what to do."""


def latency_of(option: str, text: str) -> Latency:
    """Of the command line's words."""
    kind, colon, rest = text.strip().partition(":")
    parts = [part.strip() for part in rest.split(",")]
    if text == "none":
        return NoLatency()
    if not colon:
        return Constant(_ms(option, text))
    if kind == "samples":
        return Empirical(tuple(_ms(option, part) for part in parts))
    if kind == "lognormal" and len(parts) == 3:
        with contextlib.suppress(ValueError):
            return Lognormal(_ms(option, parts[0]), float(parts[1]), _ms(option, parts[2]))
    raise _no_latency(option, text)


def fill_model_of(text: str) -> FillModelName:
    try:
        return FillModelName(text.upper())
    except ValueError:
        words = ", ".join(name.lower() for name in FillModelName)
        raise ProfileError(f"--fill-model: {text!r} is none; choose one of {words}.") from None


def _ms(option: str, text: str) -> float:
    found = _MS.fullmatch(text.strip())
    if found is None:
        raise _no_latency(option, text)
    return float(found[1]) * _UNITS[found[2]]


def _no_latency(option: str, text: str) -> ProfileError:
    return ProfileError(f"{option}: {text!r} is no latency; such are {LATENCY_WORDS}.")


async def shown(state: RunningState, username: str) -> tuple[str, Stored]:
    async with _profiles(state, Path()) as profiles:
        user = await profiles.find(username)
        return user.username, await profiles.of(user.user_id)


async def changed(
    state: RunningState, data: Path, username: str, named: str | None, fields: dict[str, Any]
) -> tuple[str, Stored]:
    """What is not given stays as the user has it; `named` gives a copy of that one and nothing else."""
    async with _profiles(state, data) as profiles:
        user = await profiles.find(username)
        if named is not None:
            profile = (await profiles.named(named, "named")).profile
        else:
            now = await profiles.of(user.user_id)
            profile = profile_of(
                msgspec.convert(msgspec.to_builtins(msgspec.structs.asdict(now.profile) | fields), SetProfile)
            )
        return user.username, await profiles.set(user.user_id, profile, named)


@contextlib.asynccontextmanager
async def _profiles(state: RunningState, data: Path) -> AsyncIterator[Profiles]:
    pool = await asyncpg.create_pool(state.pg_dsn, min_size=1, max_size=1)

    async def journal(user_id: int, document: bytes) -> None:
        stored = msgspec.json.decode(await pool.fetchval("select settings from exchange"))
        settings = Settings(
            data_dir=str(data), run_dir=str(Path(state.control).parent), pg_dsn=state.pg_dsn,
            redis_url=state.redis_url, account_actors=stored["account_actors"],
        )  # fmt: skip
        await _journal(settings, settings.account_of(user_id), document)

    try:
        yield Profiles(lambda: pool, journal)
    except ApiError as error:
        if error.code is Code.NOT_FOUND or error.field in (None, "name"):
            raise ProfileError(error.message) from None
        raise ProfileError(f"{error.field}: {error.message}") from None
    except msgspec.ValidationError as error:
        raise ProfileError(str(error)) from None
    finally:
        await pool.close()


async def _journal(settings: Settings, account: int, document: bytes) -> None:
    async def resolve(name: str) -> str:
        return settings.socket(name)

    up = asyncio.Event()

    async def on_up() -> None:
        up.set()

    client = AccountClient(settings, account % settings.account_actors, "raypit-profile", on_up=on_up, resolve=resolve)
    running = asyncio.create_task(client.run())
    try:
        await asyncio.wait_for(up.wait(), ANSWER_S)
        await client.call("profile", account, document)
    except (TimeoutError, LinkDown):
        raise ProfileError("the account does not answer now; see `raypit status` and try again.") from None
    except Refused as refused:
        if refused.code == "UNKNOWN_ACCOUNT":
            raise ProfileError("this user has no trading account yet: log in once, then set the profile.") from None
        raise ProfileError(refused.text) from None
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
