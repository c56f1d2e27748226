"""Many commands to Redis as one: a script runs them, and there is a single answer to read.

An asynchronous client pays some tens of microseconds for each answer that it reads, and there would be thousands a second.
"""

from typing import Any, Final

_SCRIPT: Final = """
local at = 1
while at <= #ARGV do
    local words = tonumber(ARGV[at])
    redis.call(unpack(ARGV, at + 1, at + words))
    at = at + words + 1
end
"""


class RedisBatch:
    """Commands without answers; when one fails, those after it are not run and `run` raises."""

    def __init__(self, redis: Any) -> None:
        self._script = redis.register_script(_SCRIPT)
        self._words: list[str | bytes | int] = []

    def __len__(self) -> int:
        return len(self._words)

    def add(self, *words: str | bytes | int) -> None:
        self._words.append(len(words))
        self._words += words

    async def run(self) -> None:
        """What was added; it is forgotten whether it succeeds or not."""
        words, self._words = self._words, []
        if words:
            await self._script(args=words)
