"""The gateways that are connected to an account actor, and which reports each of them gets."""

import time
from typing import Final

import numpy as np

from actors.stream import Link
from actors.wire import Kind
from market.enums import ExecType
from market.records import Records, opaque

_NEW: Final = int(ExecType.NEW)  # numpy compares with a member of an enumeration five times as slowly
LAST_ID = 65_535
"""`gateway` of COMMAND and REPORT has 16 bits; 0 is nobody."""


class GatewayLinks:
    def __init__(self) -> None:
        self._links: dict[int, Link] = {}
        self._subscribed: dict[int, set[int]] = {}
        """By link id: accounts whose private reports it gets."""
        self._ids: dict[Link, int] = {}
        self._newest = int(time.time()) % 30_000 + 1

    def __len__(self) -> int:
        return len(self._links)

    def welcome(self, link: Link) -> int:
        """The id by which its commands are answered."""
        self._newest = self._newest % LAST_ID + 1
        self._links[self._newest] = link
        self._ids[link] = self._newest
        self._subscribed[self._newest] = set()
        return self._newest

    def left(self, link: Link) -> None:
        link_id = self._ids.pop(link, None)
        if link_id is not None:
            del self._links[link_id]
            del self._subscribed[link_id]

    def id_of(self, link: Link) -> int:
        """0: it is gone, or was never welcomed."""
        return self._ids.get(link, 0)

    def link_of(self, link_id: int) -> Link | None:
        return self._links.get(link_id)

    def subscribed(self, link: Link) -> set[int]:
        """Accounts whose reports it gets, to be changed; KeyError when it is gone."""
        return self._subscribed[self._ids[link]]

    def tell(self, reports: Records) -> None:
        """Each gateway gets the answers to its commands and the reports of the accounts it listens to.

        An answer needs no NEW of an order that something else happened to at once.
        """
        if not len(reports):
            return
        answers = (reports["token"] != 0) & ((reports["last"] != 0) | (reports["exec_type"] != _NEW))
        gateways = reports["gateway"]
        accounts: list[int] | None = None
        for link_id, link in self._links.items():
            mine = answers & (gateways == link_id)
            if subscribed := self._subscribed[link_id]:
                accounts = reports["account"].tolist() if accounts is None else accounts
                mine |= np.fromiter((a in subscribed for a in accounts), np.bool_, len(accounts))
            count = np.count_nonzero(mine)
            if count == len(reports):
                link.send(Kind.REPORTS, reports.tobytes())
            elif count:
                link.send(Kind.REPORTS, opaque(reports)[mine].tobytes())
