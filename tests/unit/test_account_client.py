"""How commands and order lists leave for an account actor, and how their answers find who asked."""

import asyncio
from typing import Any, Final

import numpy as np

from actors.account_client import AccountClient
from actors.config import Settings
from actors.wire import Kind, ReportRow
from market.records import COMMAND, REPORT, Records, copied

SETTINGS: Final = Settings(data_dir="/nowhere", run_dir="/nowhere", pg_dsn="", redis_url="")
NAME_BYTES: Final = 40


class Link:
    def __init__(self) -> None:
        self.frames: list[tuple[Kind, bytes]] = []

    def send(self, kind: Kind, body: bytes) -> None:
        self.frames.append((kind, bytes(body)))


def connected() -> tuple[AccountClient, Link]:
    client, link = AccountClient(SETTINGS, 0, "gateway-1"), Link()
    client._link = link  # type: ignore[assignment]
    client._welcomed.set()
    return client, link


def commands(*order_ids: int) -> bytes:
    made = np.zeros(len(order_ids), COMMAND)
    made["order_id"] = order_ids
    return made.tobytes()


def reports(sent: Records, last: bool = True) -> bytes:
    """One for each command."""
    told = np.zeros(len(sent), REPORT)
    for name in ("token", "order_id"):
        told[name] = sent[name]
    told["last"] = last
    return told.tobytes()


async def test_a_list_is_a_frame_of_its_own_in_its_place() -> None:
    client, link = connected()
    answers: dict[str, Any] = {}
    client.submit(commands(1), lambda rows: answers.update(before=rows))
    client.submit(commands(2), lambda rows: answers.update(also_before=rows))
    client.submit(commands(3, 4, 5), lambda rows: answers.update(orders=rows), b"my-list")
    client.submit(commands(6), lambda rows: answers.update(after=rows))
    await asyncio.sleep(0)
    assert [kind for kind, _ in link.frames] == [Kind.COMMANDS, Kind.LIST, Kind.COMMANDS]
    (_, before), (_, listed), (_, after) = link.frames
    assert listed[:NAME_BYTES] == b"my-list".ljust(NAME_BYTES, b"\0")
    sent = [copied(body, COMMAND) for body in (before, listed[NAME_BYTES:], after)]
    assert [one["order_id"].tolist() for one in sent] == [[1, 2], [3, 4, 5], [6]]
    assert len({token for one in sent for token in one["token"].tolist()}) == 6
    for one in sent:
        client._on_frame(link, Kind.REPORTS, reports(one[::-1].copy()))  # type: ignore[arg-type]
    assert {name: [row.order_id for row in rows] for name, rows in answers.items()} == {
        "before": [1], "also_before": [2], "orders": [3, 4, 5], "after": [6],
    }  # fmt: skip


async def test_a_list_is_answered_when_each_of_its_orders_is() -> None:
    client, link = connected()
    waiting = asyncio.create_task(client.ask_for(commands(3, 4), b"my-list"))
    await asyncio.sleep(0)
    ((_, body),) = link.frames
    sent = copied(body[NAME_BYTES:], COMMAND)
    for part in (reports(sent, last=False), reports(sent[1:])):
        client._on_frame(link, Kind.REPORTS, part)  # type: ignore[arg-type]
        await asyncio.sleep(0)
        assert not waiting.done()
    client._on_frame(link, Kind.REPORTS, reports(sent[:1]))  # type: ignore[arg-type]
    rows: list[ReportRow] = await waiting
    assert [row.order_id for row in rows] == [3, 3, 4, 4], "each order's reports together"
