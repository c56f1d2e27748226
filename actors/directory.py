"""Where the other actors are: names to stream addresses, asked of Ray."""

import asyncio

import ray

from actors.config import NAMESPACE
from actors.errors import LinkDown

ASK_TIMEOUT_S = 5.0


def _ask(name: str) -> str:
    handle = ray.get_actor(name, namespace=NAMESPACE)
    address: str = ray.get(handle.endpoint.remote(), timeout=ASK_TIMEOUT_S)
    return address


async def endpoint(name: str) -> str:
    """The stream address of a named actor; `LinkDown` while it does not answer."""
    try:
        return await asyncio.to_thread(_ask, name)
    except (ValueError, ray.exceptions.RayError) as error:
        raise LinkDown(f"{name} does not answer: {type(error).__name__}") from error
