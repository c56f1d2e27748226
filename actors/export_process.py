"""A process that exports and ends: a request on its standard input, lines of how far it is on its output."""

import asyncio
import os
import sys
import time
from typing import Final

import msgspec

from actors.export_plan import Request, Told

NICE: Final = 10
TELL_EVERY_S: Final = 0.5


def main() -> None:
    os.nice(NICE)
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    from actors.parquet_export import export

    told_at = 0.0

    def tell(told: Told) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= TELL_EVERY_S or told.fraction >= 1.0:
            told_at = time.monotonic()
            sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
            sys.stdout.buffer.flush()

    asyncio.run(export(request, tell))


if __name__ == "__main__":
    main()
