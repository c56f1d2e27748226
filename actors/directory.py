"""Where the other actors are: names to stream addresses, asked of Ray."""

import asyncio
import socket

import ray

from actors.config import NAMESPACE
from actors.errors import LinkDown

ASK_TIMEOUT_S = 5.0
LOOK_EVERY_S = 0.02

_known: dict[str, str] = {}


def _ask(name: str) -> str:
    handle = ray.get_actor(name, namespace=NAMESPACE)
    address: str = ray.get(handle.endpoint.remote(), timeout=ASK_TIMEOUT_S)
    return address


async def endpoint(name: str) -> str:
    """The stream address of a named actor; `LinkDown` while it does not answer.

    An actor that comes back listens where it was, a second before Ray knows of it: whoever knew the place looks there too.
    """
    asked = asyncio.ensure_future(asyncio.to_thread(_ask, name))
    known = _known.get(name)
    while known is not None and not asked.done():
        if _listens(known):
            asked.add_done_callback(lambda late: late.cancelled() or late.exception())
            return known
        await asyncio.wait({asked}, timeout=LOOK_EVERY_S)
    try:
        _known[name] = address = await asked
    except (ValueError, ray.exceptions.RayError) as error:
        raise LinkDown(f"{name} does not answer: {type(error).__name__}") from error
    return address


def _listens(path: str) -> bool:
    """A Unix socket says at once whether somebody is behind it."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True
