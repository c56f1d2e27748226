"""What an account partition is asked: each `ask_<method>` answers a `Call` of that name. Changes go through its journal."""

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import structlog

from actors.account_ops import Op, decode_profile
from actors.errors import Refused
from actors.stream import Link
from actors.wire import Call, Kind, Reply, encoder
from market.ledger import UnknownAccount
from market.ledger.lists import OrderList
from market.profile import checked

if TYPE_CHECKING:
    from actors.account_actor import AccountService

log = structlog.get_logger()

SUBSCRIPTIONS_PER_LINK: Final = 1_000_000


class AccountQuestions:
    def __init__(self, service: "AccountService") -> None:
        self._service = service

    async def answer(self, link: Link, call: Call) -> None:
        """Reply to a call, whatever comes of it."""
        error: tuple[str, str] | None = None
        result: Any = None
        try:
            method = getattr(self, f"ask_{call.method}")
            result = await method(link, *call.args)
        except Refused as refused:
            error = (refused.code, refused.text)
        except UnknownAccount:
            error = ("UNKNOWN_ACCOUNT", "the account does not exist")
        except Exception as failure:
            log.exception("call failed", method=call.method)
            error = ("INTERNAL", type(failure).__name__)
        link.send(Kind.REPLY, encoder.encode(Reply(call.id, error, result)))

    async def ask_open(
        self, _: Link, account: int, fees: tuple[int, int], quiet: bool, deposits: list[tuple[int, int]]
    ) -> bool:
        """Open an account with first deposits, once; False when it was open already."""
        if self._service.ledger.is_open(account):
            return False
        ops = [Op("open", account, maker_fee_ppm=fees[0], taker_fee_ppm=fees[1], quiet=quiet)]
        await self._service.submit(ops + [Op("post", account, asset, units) for asset, units in deposits])
        return True

    async def ask_post(self, _: Link, account: int, asset: int, units: int) -> None:
        await self._service.submit([Op("post", account, asset, units)])

    async def ask_profile(self, _: Link, account: int, document: bytes) -> None:
        """Journal a profile; it holds for later orders. Refused with the field that does not hold."""
        try:
            checked(decode_profile(document))
        except (ValueError, msgspec.DecodeError) as error:
            raise Refused("VALIDATION", str(error)) from error
        await self._service.submit([Op("profile", account, profile=document)])

    async def ask_fees(self, _: Link, account: int) -> tuple[int, int]:
        """Of its later orders: maker's and taker's, in ppm."""
        return self._service.ledger.fees(account)

    async def ask_order_latency(self, _: Link, order_id: int) -> int | None:
        """In ns, as far as it is remembered."""
        return self._service.delays.applied_ns(order_id)

    async def ask_pause(self, _: Link, account: int, paused: bool) -> None:
        await self._service.submit([Op("pause", account, units=int(paused))])

    async def ask_reset(self, _: Link, account: int, asset: int, units: int) -> None:
        """Balances back to `units` of one asset; refused while orders are open."""
        await self._service.submit([Op("reset", account, asset, units)])

    async def ask_account(self, _: Link, account: int) -> dict[str, Any]:
        """Balances and positions at one moment."""
        ledger = self._service.ledger
        balances = ledger.balances(account)
        positions = ledger.positions(account)
        held = np.flatnonzero(balances.any(axis=1))
        traded = np.flatnonzero(positions.any(axis=1))
        return {
            "seq": ledger.seq(account),
            "paused": ledger.is_paused(account),
            "updated_ns": self._service.history.newest_ns(account),
            "balances": [(int(k), int(balances[k, 0]), int(balances[k, 1])) for k in held],
            "positions": [(int(k), *(int(v) for v in positions[k])) for k in traded],
        }

    async def ask_open_orders(self, _: Link, account: int, symbol: int) -> bytes:
        found = self._service.ledger.open_orders(account, symbol)
        self._service.history.updated_ns(account, found)
        return found.tobytes()

    async def ask_last_prices(self, _: Link) -> dict[int, int]:
        return self._service.ledger.last_prices()

    async def ask_open_symbols(self, _: Link, account: int) -> list[int]:
        return self._service.ledger.open_symbols(account)

    async def ask_order(self, _: Link, account: int, order_id: int, client_order_id: bytes) -> bytes:
        """REPORT[0 or 1]: the order as it stands, open or ended not long ago (`ord_status` tells).

        By `order_id`, else the newest of the orders that had this `client_order_id`.
        """
        found = self._service.ledger.open_order(account, order_id, client_order_id)
        if len(found):
            self._service.history.updated_ns(account, found)
        elif order_id:
            found = self._service.history.order(account, order_id)
        else:
            found = self._service.history.named(account, client_order_id)[-1:]
        return found.tobytes()

    async def ask_named_orders(self, _: Link, account: int, client_order_id: bytes) -> bytes:
        """REPORT[n]: every order with this `client_order_id` that is open or ended not long ago, by order id."""
        opened = self._service.ledger.open_order(account, 0, client_order_id)
        self._service.history.updated_ns(account, opened)
        told = self._service.history.named(account, client_order_id)
        if len(opened):
            told = told[told["order_id"] != opened["order_id"]]
        return told.tobytes() + opened.tobytes()

    async def ask_recent_orders(self, _: Link, account: int, since_ns: int) -> bytes:
        """REPORT[n]: how the orders stand that were told of since then, by order id; the read models lag."""
        return self._service.history.recent_orders(account, since_ns).tobytes()

    async def ask_recent_trades(self, _: Link, account: int, since_ns: int) -> bytes:
        """REPORT[n]: executions since then, oldest first."""
        return self._service.history.recent_trades(account, since_ns).tobytes()

    async def ask_reports_of(self, _: Link, account: int, order_id: int) -> bytes:
        """REPORT[n]: what was told of one order, oldest first, as far as it is kept."""
        return self._service.history.reports_of(account, order_id).tobytes()

    async def ask_list(self, _: Link, account: int, list_id: int, name: bytes) -> dict[str, Any] | None:
        """A list of orders by either id, open or ended not long ago."""
        found = self._service.ledger.lists.find(account, list_id, name.rstrip(b"\0"))
        return None if found is None else _told_list(found)

    async def ask_open_lists(self, _: Link, account: int) -> list[dict[str, Any]]:
        return [_told_list(one) for one in self._service.ledger.lists.of(account)]

    async def ask_subscribe(self, link: Link, account: int, from_seq: int) -> dict[str, Any]:
        """Reports of an account from now on; those after `from_seq` (-1: none) come with the answer, in order."""
        seq = self._service.delays.told_seq(account, self._service.ledger.seq(account))
        subscribed = self._service.gateways.subscribed(link)
        missed = b""
        if from_seq >= 0:
            if from_seq > seq:
                raise Refused("RESUME_AHEAD", f"the newest sequence number is {seq}")
            found = self._service.history.after(account, from_seq)
            found = found[found["seq"] <= seq]  # what still waits is told in its time
            if len(found) != seq - from_seq:
                raise Refused("RESUME_TOO_OLD", f"only the newest reports are kept; the newest is {seq}")
            missed = found.tobytes()
        if len(subscribed) >= SUBSCRIPTIONS_PER_LINK:
            raise Refused("OVERLOADED", "too many private streams")
        subscribed.add(account)
        return {"seq": seq, "missed": missed}

    async def ask_unsubscribe(self, link: Link, account: int) -> None:
        self._service.gateways.subscribed(link).discard(account)


def _told_list(one: OrderList) -> dict[str, Any]:
    return {
        "list_id": one.list_id,
        "contingency": one.contingency,
        "name": one.name,
        "status": one.status,
        "symbol": one.symbol,
        "created_ns": one.created_ns,
        "updated_ns": one.updated_ns,
        "orders": list(zip(one.order_ids, one.names, one.is_open, strict=True)),
    }
