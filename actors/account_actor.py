"""An account partition: reserves for commands, sends them to books, settles what the books committed.

Admission is synchronous, in the frame callback. The account's own journal holds what no book knows (accounts opened,
deposits, resets, pauses), each row with the book positions at which it applied, so that replay interleaves as live did.
While such a row is being committed, batches wait.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
import structlog

from actors.account_ops import Op, OwnRow, apply_ops, check_ops
from actors.account_questions import AccountQuestions
from actors.balance_writer import BalanceWriter
from actors.book_answers import BookAnswers
from actors.config import Settings, account_name, book_name
from actors.delays import Delays
from actors.errors import JournalCorrupt, Refused
from actors.follower import BookFollower
from actors.gateway_links import GatewayLinks
from actors.history import ReportHistory
from actors.journal import Journal, SnapshotStore
from actors.list_writer import ListWriter
from actors.market_now import MarketNow
from actors.metrics import AccountMetrics
from actors.phases import Phases
from actors.sent_commands import SentCommands
from actors.stream import Link, listen
from actors.wire import (
    Batch,
    Hello,
    Kind,
    Welcome,
    call_decoder,
    encoder,
    hello_decoder,
)
from market.enums import CommandKind, ListRole
from market.ledger import Ledger, UnknownAccount
from market.reasons import Reason
from market.records import CLIENT_ORDER_ID_BYTES, COMMAND, REPORT, Records, copied, joined, picked

log = structlog.get_logger()
T = TypeVar("T")

IN_FLIGHT_LIMIT: Final = 131_072
"""Commands sent to one book and not yet seen committed; beyond it new ones are refused with OVERLOADED."""
OPS_LIMIT: Final = 4_096
"""Order lists and other ops that wait for the journal; beyond it new lists are refused with OVERLOADED."""
SNAPSHOT_EVERY_S: Final = 60.0
SNAPSHOT_LAYOUT: Final = 4
"""Higher whenever the ledger's snapshot or REPORT changes."""
METRICS_EVERY_S: Final = 2.0


class _Version(msgspec.Struct):
    layout: int = 0


class _Snapshot(_Version, kw_only=True):
    own_seq: int
    positions: list[int]
    quiet: list[int]
    ledger: bytes
    history: bytes
    profiles: dict[int, bytes] = {}


class CommandsRefused(Exception):
    """REPORT[n]: why what the journal would have told was not done."""

    def __init__(self, reports: Records) -> None:
        super().__init__()
        self.reports = reports


class AccountService:
    def __init__(self, settings: Settings, partition: int) -> None:
        self.name = account_name(partition)
        self.settings = settings
        self.partition = partition
        self.ledger = Ledger(settings.instruments(), partition, settings.account_actors)
        self.journal = Journal(settings.pg_dsn, self.name)
        self.own_seq = 0
        self.metrics = AccountMetrics(self.name)
        self.history = ReportHistory()
        self.now_ns = MarketNow.of(settings)
        self.delays = Delays(self.now_ns, self._arrived, self._deliver)
        self.quiet: set[int] = set()
        self._frames: list[tuple[Link, bytes]] = []
        """Frames of commands that this turn of the event loop read."""
        self._loud = np.ones(1, np.bool_)
        """By account; the last one stands for all accounts beyond."""
        self.books = [self._follower(b) for b in range(settings.book_actors)]
        self.sent = SentCommands(self.books, partition, settings.account_actors)
        self.gateways = GatewayLinks()
        self._batches: list[deque[Batch]] = [deque() for _ in self.books]
        self._answers = BookAnswers(
            self.books, lambda: (self.delays.next_command_ns, self.ledger.lists.wait), self._all_sent
        )
        self._ops: deque[tuple[list[Op], asyncio.Future[None]]] = deque()
        self._committing = False
        self._at_rest: deque[Callable[[], None]] = deque()
        self._recovering = True
        self._wake = asyncio.Event()
        self._snapshots = SnapshotStore(settings.pg_dsn, self.name)
        self._questions = AccountQuestions(self)
        self._balances = BalanceWriter(settings, self)
        self._lists = ListWriter(settings, self)
        self._tasks: list[asyncio.Task[Any]] = []

    def _follower(self, book: int) -> BookFollower:
        return BookFollower(
            self.settings.pg_dsn,
            book,
            lambda: Hello("account", self.name, self.partition, self.journal.epoch),
            self._on_batch,
            lambda welcome: self._on_live(book, welcome),
            lambda: self._on_down(book),
        )

    # -- recovery -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        phases = Phases()
        await self.journal.activate()
        if found := await self.journal.newest_snapshot():
            self._restore(found[1])
        phases.done("snapshot")
        async for row in self.journal.read(self.own_seq):
            if row.seq != self.own_seq + 1:
                raise JournalCorrupt(f"{self.name}: after seq {self.own_seq} comes {row.seq}")
            own = msgspec.msgpack.decode(row.payload, type=OwnRow)
            for book, seq in zip(self.books, own.positions, strict=True):
                await book.read(seq)
            self.history.add(self._audible(joined(apply_ops(self.ledger, own.ops, row.ts_ns), REPORT)))
            self._hush(op.account for op in own.ops if op.quiet)
            self.delays.saw(own.ops)
            self.own_seq = row.seq
        phases.done("journal")
        # An empty row of the new epoch: an older writer of this stream now collides.
        await self._append([])
        for k in range(len(self.ledger.instruments)):
            self.ledger.set_available(k, False)
        self._tasks = [asyncio.create_task(book.run()) for book in self.books]
        await asyncio.gather(*(book.live.wait() for book in self.books))
        phases.done("books")
        dropped = self.ledger.drop_pending()
        self._recovering = False
        self._balances.mark_all()
        self._place_filled()
        for list_id in self.ledger.lists.never_started():
            self._unlist(list_id, Reason.NEVER_ACCEPTED)
        log.info(
            "accounts recovered",
            name=self.name,
            seq=self.own_seq,
            dropped=dropped,
            orders=self.ledger.live_orders,
            seconds=phases.seconds,
        )
        self._server = await listen(self.settings.socket(self.name), self._on_frame, self._on_close)

    def _restore(self, payload: bytes) -> None:
        """A snapshot of another version is not read: the journal tells it all, only not as fast."""
        if msgspec.msgpack.decode(payload, type=_Version).layout != SNAPSHOT_LAYOUT:
            log.info("snapshot of another version, reading the whole journal", name=self.name)
            return
        snapshot = msgspec.msgpack.decode(payload, type=_Snapshot)
        self.ledger = Ledger.restore(self.settings.instruments(), snapshot.ledger)
        self.own_seq = snapshot.own_seq
        self._hush(snapshot.quiet)
        self.history.load(snapshot.history)
        self.delays.load(snapshot.profiles)
        for book, seq in zip(self.books, snapshot.positions, strict=True):
            book.seq = seq

    async def run(self) -> None:
        self._tasks += [
            asyncio.create_task(self._balances.run()),
            asyncio.create_task(self._lists.run()),
            asyncio.create_task(self._housekeeping()),
        ]
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._ops or any(self._batches):
                await self._turn()

    async def _turn(self) -> None:
        """Settle what waits, then commit and apply what only this journal knows."""
        reports = [self._settle(batch) for queue in self._batches for batch in _drain(queue)]
        ops, waiting = self._take_ops()
        if ops or len(self.books) > 1:
            self._committing = True
            ts_ns = self.now_ns()
            reports += self._apply(ops, ts_ns, debits=True)
            await self._append(ops, ts_ns)
            reports += self._apply(ops, ts_ns, debits=False)
            self._committing = False
            for op in ops:
                if op.kind == "list":
                    self._send(to_book(copied(op.commands, COMMAND)))
            self.metrics.batches.inc()
        while self._at_rest and not any(self._batches):
            self._at_rest.popleft()()
        for made in reports:
            self._tell(made)
        for future in waiting:
            if not future.done():
                future.set_result(None)
        if self.now_ns.replay:
            self._answers.soon()

    def _take_ops(self) -> tuple[list[Op], list[asyncio.Future[None]]]:
        """Ops that still hold against the present state; the others are refused."""
        ops: list[Op] = []
        waiting = []
        while self._ops:
            group, future = self._ops.popleft()
            try:
                group = self._expanded(group)
                self._check(group)
            except (Refused, UnknownAccount, CommandsRefused) as error:
                future.set_exception(error)
                continue
            except ValueError as error:
                future.set_exception(Refused("ORDER_REJECTED", str(error)))
                continue
            ops += group
            waiting.append(future)
            if any(op.kind in ("post", "list", "amend") for op in group):
                break  # the next group is checked against what this one leaves
        return ops, waiting

    def _expanded(self, group: list[Op]) -> list[Op]:
        """A reset becomes the postings that it means at this moment; an order list is reserved for."""
        expand = {"reset": self._reset, "list": self._admit_list, "amend": self._check_amend}
        return [one for op in group for one in (expand[op.kind](op) if op.kind in expand else (op,))]

    def _admit_list(self, op: Op) -> list[Op]:
        commands = copied(op.commands, COMMAND)
        refused = self.ledger.admit_list(op.name, commands, self.now_ns())
        if len(refused):
            raise CommandsRefused(refused)
        return [msgspec.structs.replace(op, units=int(commands["list_id"][0]), commands=commands.tobytes())]

    def _reset(self, op: Op) -> list[Op]:
        """Balances back to `units` of one asset, positions forgotten; refused while orders are open."""
        if self.ledger.open_symbols(op.account):
            raise Refused("ORDER_REJECTED", "cancel all open orders first")
        held = self.ledger.balances(op.account)[:, 0]
        target = np.zeros_like(held)
        target[op.asset] = op.units
        delta = target - held
        posts = [Op("post", op.account, int(k), int(delta[k])) for k in np.flatnonzero(delta)]
        return [*posts, Op("forget", op.account)]

    def _check_amend(self, op: Op) -> list[Op]:
        command = copied(op.commands, COMMAND)
        if reason := self.ledger.why_not_amended(command):
            raise CommandsRefused(self.ledger.refuse(command, reason, self.now_ns()))
        return [op]

    def _check(self, group: list[Op]) -> None:
        check_ops(self.ledger, group)

    async def _append(self, ops: list[Op], ts_ns: int = 0) -> None:
        row = OwnRow([book.seq - len(q) for book, q in zip(self.books, self._batches, strict=True)], ops)
        self.own_seq += 1
        await self.journal.append(self.own_seq, ts_ns or self.now_ns(), encoder.encode(row))

    def _apply(self, ops: list[Op], ts_ns: int, debits: bool) -> list[Records]:
        made = apply_ops(self.ledger, ops, ts_ns, debits, not debits)
        if not debits:
            self._hush(op.account for op in ops if op.quiet)
            self.delays.saw(ops)
        for reports in made:
            self.history.add(self._audible(reports))
            self._balances.mark(reports)
        return made

    # -- books ----------------------------------------------------------------------------------------------------

    def _on_batch(self, batch: Batch) -> None:
        if self._recovering:
            self._settle(batch)
        elif self._committing or self._ops or len(self.books) > 1 or any(self._batches):
            self._batches[batch.partition].append(batch)
            self._wake.set()
        else:
            self._tell(self._settle(batch))

    def _settle(self, batch: Batch) -> Records:
        began = time.perf_counter()
        self.now_ns.saw(batch.ts_ns)
        if self.now_ns.replay and self.delays.waits:
            self.delays.moved()
        reports = self.ledger.settle(batch.commands, batch.events, batch.ts_ns)
        self.sent.confirm(batch)
        self.history.add(self._audible(reports))
        if not self._recovering:  # after that all are marked
            self._balances.mark(reports)
        self.metrics.reports.inc(len(reports))
        self.metrics.settle_s.observe(time.perf_counter() - began)
        if not self._recovering and len(self.ledger.lists):
            self._place_filled()
        if self.now_ns.replay and not self._recovering:
            self._answers.soon()
        return reports

    def _all_sent(self) -> list[int] | None:
        """By book the newest batch that is settled; None while commands that follow from one are still being made."""
        if self._committing or self._ops or self._frames or any(self._batches):
            return None
        return [book.seq for book in self.books]

    def _place_filled(self) -> None:
        """Pending orders of lists whose working order was filled go to their book, or their list ends."""
        for one in self.ledger.lists.take_filled():
            commands, reason = self.ledger.place_pending(one)
            if reason:
                self._unlist(one.list_id, reason)
            elif len(commands):
                self._send(commands)

    def _unlist(self, list_id: int, reason: Reason) -> None:
        one = self.ledger.lists.get(list_id)
        assert one is not None
        op = Op("unlist", one.account, int(reason), list_id)
        self._ops.append(([op], asyncio.get_running_loop().create_future()))
        self._wake.set()

    def _on_live(self, book: int, welcome: Welcome) -> None:
        """Connected and caught up: resend what the book never journaled, then accept again."""
        if self._recovering:
            self.sent.go_on_after(book, welcome.last_command_id)
        self.sent.send_again(book, welcome.last_command_id)
        if self.now_ns.replay:
            self._answers.connected(book, self.books[book].seq)
        for symbol in self.settings.symbols_of(book):
            self.ledger.set_available(symbol, True)

    def _on_down(self, book: int) -> None:
        for symbol in self.settings.symbols_of(book):
            self.ledger.set_available(symbol, False)

    def _send(self, commands: Records) -> None:
        if self.now_ns.replay:
            self._answers.changed()
        self.sent.send(commands)

    # -- gateways -------------------------------------------------------------------------------------------------

    def _on_frame(self, link: Link, kind: int, body: bytes) -> None:
        if kind == Kind.COMMANDS:
            if len(body) % COMMAND.itemsize:
                raise ValueError(f"{len(body)} bytes are no whole number of commands")
            self._arrived(link, self._undelayed(link, body) if self.delays.commands else body)
        elif kind == Kind.LIST:
            name, commands = body[:CLIENT_ORDER_ID_BYTES], copied(body[CLIENT_ORDER_ID_BYTES:], COMMAND)
            commands["gateway"] = self.gateways.id_of(link)
            self._list_arrived(link, name, commands)
        elif kind == Kind.CALL:
            call = call_decoder.decode(body)
            self._start(self._questions.answer(link, call))
        elif kind == Kind.HELLO:
            hello_decoder.decode(body)
            link_id = self.gateways.welcome(link)
            link.send(
                Kind.WELCOME,
                encoder.encode(Welcome(self.journal.epoch, self.own_seq, link_id=link_id)),
            )
            self.metrics.links.set(len(self.gateways))
        else:
            raise ValueError(f"unexpected frame {kind}")

    def _arrived(self, link: Link, body: bytes) -> None:
        if not body:
            return
        if not self._frames:
            asyncio.get_running_loop().call_soon(self._admit_arrived)
        self._frames.append((link, body))

    def _undelayed(self, link: Link, body: bytes) -> bytes:
        """What of a frame may go on at once; the rest comes later, or is too much."""
        body, overloaded = self.delays.take(link, body)
        if self.now_ns.replay:
            self._answers.changed()
        if len(overloaded):
            overloaded["gateway"] = self.gateways.id_of(link)
            self._answer(link, self.ledger.refuse(overloaded, Reason.OVERLOADED, self.now_ns()))
        return body

    def _list_arrived(self, link: Link, name: bytes, commands: Records) -> None:
        def go_on() -> None:
            self._start(self._journal(link, Op("list", 0, name=name), commands))

        waits = self.delays.take_list(commands, go_on) if self.delays.commands else False
        if waits and self.now_ns.replay:
            self._answers.changed()
        if waits is None:
            self._answer(link, self.ledger.refuse(commands, Reason.OVERLOADED, self.now_ns()))
        elif not waits:
            go_on()

    def _answer(self, link: Link, reports: Records) -> None:
        """Refusals go only to who sent the commands."""
        if self.delays.acks:
            reports = self.delays.hold(link, reports)
        self._deliver(link, reports)

    def _deliver(self, link: Link | None, reports: Records) -> None:
        if link is None:
            self.gateways.tell(reports)
        elif len(reports):
            link.send(Kind.REPORTS, reports.tobytes())

    def _without_amends(self, commands: Records, refused: Records) -> Records:
        """A pending order of a list is no book's: what amends it goes to this actor's own journal."""
        waits = (refused["command_kind"] == CommandKind.AMEND) & (refused["reason"] == Reason.ORDER_PENDING)
        for token in refused["token"][waits].tolist():
            command = picked(commands, commands["token"] == token)
            link = self.gateways.link_of(int(command["gateway"][0]))
            if link is not None:  # else nobody waits for it any more
                self._start(self._journal(link, Op("amend", 0), command))
        return picked(refused, ~waits)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)

    async def _journal(self, link: Link, op: Op, commands: Records) -> None:
        """What no book decides: its answers are reports, as those of commands are."""
        account = int(commands["account"][0])
        try:
            if max(self.sent.in_flight) + len(commands) > IN_FLIGHT_LIMIT or len(self._ops) > OPS_LIMIT:
                raise CommandsRefused(self.ledger.refuse(commands, Reason.OVERLOADED, self.now_ns()))
            await self.submit([msgspec.structs.replace(op, account=account, commands=commands.tobytes())])
            self.metrics.admitted.inc(len(commands))
        except CommandsRefused as refused:
            self._answer(link, refused.reports)
            self.metrics.refused.inc(len(refused.reports))
        except UnknownAccount:
            self._answer(link, self.ledger.refuse(commands, Reason.UNKNOWN_ACCOUNT, self.now_ns()))

    def _admit_arrived(self) -> None:
        """Everything that one turn of the event loop read, at once: a frame may hold a single command."""
        arrived, self._frames = self._frames, []
        began = time.perf_counter()
        commands = np.frombuffer(bytearray().join([body for _, body in arrived]), COMMAND)
        at = 0
        for link, body in arrived:
            n = len(body) // COMMAND.itemsize
            commands["gateway"][at : at + n] = self.gateways.id_of(link)
            at += n
        if max(self.sent.in_flight) + len(commands) > IN_FLIGHT_LIMIT:
            refused = self.ledger.refuse(commands, Reason.OVERLOADED, self.now_ns())
        else:
            accepted, refused = self.ledger.admit(commands, self.now_ns())
            if len(accepted):
                self._send(accepted)
            if len(refused) and len(self.ledger.lists):
                refused = self._without_amends(commands, refused)
            self.metrics.admitted.inc(len(accepted))
            if self.delays.commands:
                self.delays.admitted(accepted, refused)
        for link in {link for link, _ in arrived} if len(refused) else ():
            own = picked(refused, refused["gateway"] == self.gateways.id_of(link))
            self._answer(link, own)
        if self.now_ns.replay:
            self._answers.soon()
        self.metrics.refused.inc(len(refused))
        self.metrics.admit_s.observe(time.perf_counter() - began)

    def _tell(self, reports: Records) -> None:
        if self.delays.acks:
            reports = self.delays.hold(None, reports)
        self.gateways.tell(reports)

    def _audible(self, reports: Records) -> Records:
        """Without those of simulated participants: nobody resumes their streams."""
        loud = self._loud.take(reports["account"], mode="clip")
        return reports if loud.all() else picked(reports, loud)

    def _hush(self, accounts: Iterable[int]) -> None:
        if not (new := set(accounts) - self.quiet):
            return
        self.quiet |= new
        self._loud = np.ones(max(self.quiet) + 2, np.bool_)
        self._loud[list(self.quiet)] = False

    def _on_close(self, link: Link) -> None:
        self.gateways.left(link)
        self.metrics.links.set(len(self.gateways))

    async def submit(self, ops: list[Op]) -> None:
        """Commit and apply ops as one step; `Refused` when they do not hold."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ops.append((ops, done))
        self._wake.set()
        await done

    # -- housekeeping ---------------------------------------------------------------------------------------------

    async def _housekeeping(self) -> None:
        snapshot_at = time.monotonic()
        saved = (-1, [-1])
        while True:
            await asyncio.sleep(METRICS_EVERY_S)
            self.metrics.open_orders.set(self.ledger.live_orders)
            self.metrics.accounts.set(self.ledger.account_count)
            here = (self.own_seq, [book.seq for book in self.books])
            if time.monotonic() - snapshot_at > SNAPSHOT_EVERY_S and here != saved:
                await self.snapshot()
                snapshot_at = time.monotonic()
                saved = here

    async def snapshot(self) -> int:
        own_seq, position, payload = await self._when_settled(self._copy)
        await self._snapshots.save(position, payload)
        return own_seq

    def _copy(self) -> tuple[int, int, bytes]:
        own_seq = self.own_seq
        # Both look at every account: too long a pause for every order to be made more often.
        self.metrics.drift.set(int(np.abs(self.ledger.drift()).max()))
        state = _Snapshot(
            layout=SNAPSHOT_LAYOUT,
            own_seq=own_seq,
            positions=[book.seq for book in self.books],
            quiet=sorted(self.quiet),
            ledger=self.ledger.snapshot(),
            history=self.history.save(),
            profiles=self.delays.documents,
        )
        return own_seq, own_seq + sum(state.positions), encoder.encode(state)

    async def _when_settled(self, ask: Callable[[], T]) -> T:
        """Run `ask` when nothing received waits to be settled and nothing of our own is being committed."""
        if not self._committing and not any(self._batches):
            return ask()
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._at_rest.append(lambda: answer.set_result(ask()))
        return await answer

    async def digest(self) -> dict[str, Any]:
        """Digest of the settled state and the journal positions it stands at; conservation beside it."""
        return await self._when_settled(self._digest)

    def _digest(self) -> dict[str, Any]:
        totals = self.ledger.settled().totals()
        return {
            "own_seq": self.own_seq,
            "positions": [book.seq for book in self.books],
            "digest": self.ledger.digest(),
            "drift": self.ledger.drift().tolist(),
            "faults": self.ledger.faults(),
            "totals": {name: values.tolist() for name, values in totals.items()},
        }

    def status(self) -> dict[str, object]:
        return {
            "name": self.name,
            "epoch": self.journal.epoch,
            "seq": self.own_seq,
            "stalled": self.journal.stalled,
            "books": {book_name(k): book.seq for k, book in enumerate(self.books)},
            "books_live": all(book.live.is_set() for book in self.books),
            "in_flight": sum(self.sent.in_flight),
            "live_orders": self.ledger.live_orders,
            "accounts": self.ledger.account_count,
        }

    async def stop(self) -> None:
        await self.snapshot()
        await self.journal.close()


def to_book(commands: Records) -> Records:
    """Of COMMAND[n] of an order list: what goes to its book at once."""
    return commands if commands[0]["list_role"] == ListRole.OCO_FIRST else commands[:1].copy()


def _drain(queue: deque[Batch]) -> list[Batch]:
    taken = list(queue)
    queue.clear()
    return taken
