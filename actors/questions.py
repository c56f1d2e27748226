"""Questions over a stream, and their answers, whoever is asked."""

import asyncio
import itertools
from typing import Any, Final

from actors.errors import LinkDown, Refused
from actors.stream import Link
from actors.wire import Call, Kind, encoder, reply_decoder

ANSWER_WITHIN_S: Final = 5.0


class Questions:
    """`name`: of who is asked, for errors."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._ids = itertools.count(1)

    def __len__(self) -> int:
        """Those that wait for an answer."""
        return len(self._waiting)

    async def ask(self, link: Link, method: str, args: tuple[Any, ...]) -> Any:
        """`Refused` when the other side says no, `LinkDown` when it goes away or takes too long."""
        number = next(self._ids)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            link.send(Kind.CALL, encoder.encode(Call(number, method, list(args))))
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await future
        except TimeoutError as error:
            raise LinkDown(f"no answer to {method} in {ANSWER_WITHIN_S} s") from error
        finally:
            self._waiting.pop(number, None)

    def answered(self, body: bytes) -> None:
        """Of a REPLY frame."""
        reply = reply_decoder.decode(body)
        future = self._waiting.get(reply.id)
        if future is not None and not future.done():
            if reply.error is not None:
                future.set_exception(Refused(*reply.error))
            else:
                future.set_result(reply.result)

    def lost(self) -> None:
        """The link is; who waits hears so."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(LinkDown(f"{self._name} went away"))
