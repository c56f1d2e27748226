"""One GET to a venue's REST side: its body, or why there is none and when to come again."""

import asyncio
from typing import Final, NamedTuple

import aiohttp

TOO_MANY: Final = (418, 429)
RETRY_AFTER_MOST_S: Final = 600.0
"""A ban may be longer; asking every ten minutes does not make it so."""


class Answered(NamedTuple):
    body: bytes


class Refused(NamedTuple):
    reason: str
    retry_after_s: float = 0.0


async def fetch(session: aiohttp.ClientSession, url: str, within_s: float, max_bytes: int) -> Answered | Refused:
    try:
        async with asyncio.timeout(within_s), session.get(url) as response:
            if response.status != 200:
                wait_s = _seconds(response.headers.get("Retry-After", ""))
                if response.status in TOO_MANY:
                    wait_s = wait_s or 1.0
                return Refused(f"HTTP {response.status}", wait_s)
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > max_bytes:
                    return Refused(f"more than {max_bytes} bytes")
            return Answered(bytes(body))
    except (OSError, TimeoutError, aiohttp.ClientError) as error:
        return Refused(str(error) or type(error).__name__)


def _seconds(text: str) -> float:
    """Of a `Retry-After`; its form as a date is not used by venues."""
    try:
        return min(RETRY_AFTER_MOST_S, max(0.0, float(text)))
    except ValueError:
        return 0.0
