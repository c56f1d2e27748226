"""Those who follow the books where a real venue is heard: what they take from its batches, and what not."""

from typing import Any, Final

import msgspec
import numpy as np

from actors.account_actor import AccountService
from actors.batches import run_of
from actors.config import Settings
from actors.live_market import LiveMarket
from actors.metrics import ProjectorMetrics
from actors.stream_bus import StreamBus
from actors.stream_demand import channel_of
from actors.wire import Batch, event_times
from market.enums import CommandKind, EventKind, Side
from market.numbering import OUTSIDE_ACCOUNT
from market.records import COMMAND, EVENT, Records
from market.universe import instruments

SYMBOLS: Final = instruments(1)
NAME: Final = SYMBOLS[0].symbol
PRICE: Final = SYMBOLS[0].start_price_ticks
BUY, SELL = Side


def settings(**fields: Any) -> Settings:
    return Settings(data_dir="/nowhere", run_dir="/nowhere", pg_dsn="", redis_url="redis://127.0.0.1:1", **fields)


def heard(kind: CommandKind, side: Side = BUY, price: int = 0, qty: int = 0, at_ns: int = 1) -> Records:
    row = np.zeros(1, COMMAND)
    row["kind"], row["account"], row["side"], row["price_ticks"] = kind, OUTSIDE_ACCOUNT, side, price
    row["qty_lots"], row["target_id"], row["command_id"] = qty, at_ns, 1 << 40
    return row


def test_an_account_confirms_none_of_its_commands_by_a_venues() -> None:
    for partitions in (1, 3):
        account = AccountService(settings(account_actors=partitions), partitions - 1)
        sent = np.zeros(2, COMMAND)
        sent["account"] = partitions - 1
        account.sent.send(sent)
        assert account.sent.in_flight == [2]
        outside = heard(CommandKind.OUTSIDE_CLEAR)
        account.sent.confirm(Batch(0, 1, 1, 1, outside, np.zeros(0, EVENT)))
        assert account.sent.in_flight == [2]
        account.sent.confirm(Batch(0, 1, 2, 2, np.concatenate((sent, outside)), np.zeros(0, EVENT)))
        assert account.sent.in_flight == [0]


class Depth:
    """A diff stream that somebody listens to, and the follower's book."""

    def __init__(self) -> None:
        self.market = LiveMarket(SYMBOLS)
        self.bus = StreamBus(settings(), self.market, ProjectorMetrics("test"))
        name = channel_of(settings().prefix, "ms", f"{NAME.lower()}@depth@100ms")
        self.bus.demand.update([name])
        self.name = name
        self.bus.books(100)

    def hear(self, *rows: Records) -> list[Any]:
        self.market.apply([Batch(0, 1, 1, 1, np.concatenate(rows), np.zeros(0, EVENT))], set())
        self.bus._out.clear()
        self.bus.books(100)
        return [msgspec.json.decode(event) for event in self.bus._out.get(self.name, [])]


def test_update_ids_are_contiguous_though_most_of_what_is_heard_is_no_event() -> None:
    depth = Depth()
    (first,) = depth.hear(
        heard(CommandKind.OUTSIDE_LEVEL, BUY, PRICE, 5), heard(CommandKind.OUTSIDE_LEVEL, SELL, PRICE + 2, 4)
    )
    assert (first["U"], first["u"], len(first["b"]), len(first["a"])) == (1, 2, 1, 1)
    # Nothing is shown anew: the next change begins where the last one told of ended.
    assert depth.hear(heard(CommandKind.OUTSIDE_LEVEL, BUY, PRICE, 5)) == []
    assert depth.hear(heard(CommandKind.OUTSIDE_TRADE, SELL, PRICE - 1, 5)) == []
    (second,) = depth.hear(heard(CommandKind.OUTSIDE_CLEAR))
    assert (second["U"], second["u"]) == (first["u"] + 1, depth.market.books[0].exec_id)
    assert [float(qty) for _, qty in (*second["b"], *second["a"])] == [0.0, 0.0]


def test_a_run_of_batches_has_the_times_and_causes_of_each() -> None:
    book = LiveMarket(SYMBOLS).books[0]
    batches = []
    for k, rows in enumerate((heard(CommandKind.OUTSIDE_LEVEL, BUY, PRICE, 5, at_ns=11),
                              heard(CommandKind.OUTSIDE_TRADE, SELL, PRICE, 5, at_ns=12),
                              np.concatenate((np.zeros(1, COMMAND), heard(CommandKind.OUTSIDE_TRADE, SELL, PRICE, 2, at_ns=13)))), 1):  # fmt: skip
        batches.append(Batch(0, 1, k, 100 * k, rows, book.apply(rows)))
    run = run_of(batches)
    assert run.events["kind"].tolist() == [EventKind.TRADE, EventKind.REJECTED, EventKind.TRADE]
    assert run.ts_ns.tolist() == [12, 300, 13] == np.concatenate([event_times(one) for one in batches]).tolist()
    assert run.commands["target_id"][run.events["command_index"]].tolist() == [12, 0, 13]
    assert len(run_of(batches[:1]).events) == 0
