"""Frames between actors on a real Unix socket: every size comes whole and in order, and a broken peer is cut off."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from actors.stream import JOINED, MOST_ROOM, ROOM, Link, connect, listen
from actors.wire import FRAME, MAX_FRAME, Kind

WITHIN_S = 10.0


@asynccontextmanager
async def linked(folder: Path, on_frame: Callable[[Link, int, bytes], None]) -> AsyncIterator[Link]:
    path = str(folder / "s")
    server = await listen(path, on_frame, lambda link: None)
    link = await connect(path, lambda *frame: None)
    try:
        yield link
    finally:
        link.close()
        server.close()


async def test_frames_of_all_sizes_come_whole_and_in_order(tmp_path: Path) -> None:
    chance = random.Random(1)
    edges = [0, 1, JOINED - 1, JOINED, ROOM - FRAME.size - 1, ROOM - FRAME.size, ROOM, 3 * ROOM + 1, MOST_ROOM + ROOM]
    sent = [chance.randbytes(chance.choice((size, chance.randrange(300)))) for size in edges * 12]
    told: list[bytes] = []
    done = asyncio.Event()

    def take(link: Link, kind: int, body: bytes) -> None:
        assert kind == Kind.BATCH
        told.append(body)
        if len(told) == len(sent):
            done.set()

    async with linked(tmp_path, take) as link:
        for body in sent:
            link.send(Kind.BATCH, body)
        await asyncio.wait_for(done.wait(), WITHIN_S)
    assert told == sent


async def test_who_announces_too_much_is_cut_off(tmp_path: Path) -> None:
    async with linked(tmp_path, lambda *frame: None) as link:
        assert link._transport is not None
        link._transport.write(FRAME.pack(MAX_FRAME + 1, Kind.BATCH))
        await asyncio.wait_for(link.closed, WITHIN_S)
