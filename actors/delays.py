"""What waits on its way to and from accounts whose profile has latency: their commands, and the reports told to them.

Time is the market's. On the wall's time a timer wakes what is due; in a replay time is that of the newest batch, so what is
due waits for the market to move, and while the market stands still it stands as well. What waits is in memory only: when
the process ends, commands that wait were never accepted, and reports are in the history that a resumed stream reads.
The n-th delay of an account on a path repeats (`market.profile`); counting starts anew with the process and with the profile.
"""

import asyncio
import heapq
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Protocol

import numpy as np
import structlog

from actors.account_ops import Op, decode_profile
from actors.stream import Link
from market.enums import CommandKind
from market.profile import NO_LATENCY, Path, TradingProfile, delay_ns, latency_of
from market.records import COMMAND, Records, copied, picked

log = structlog.get_logger()

COMMANDS_LIMIT: Final = 65_536
"""Commands that wait, of all accounts; beyond it new ones are refused with OVERLOADED."""
ACCOUNT_LIMIT: Final = 8_192
"""Likewise of one account: one must not take the places of all others."""
REPORTS_LIMIT: Final = 131_072
"""Reports that wait (32 MB); beyond it all of them leave at once, in their order."""
APPLIED_LIMIT: Final = 65_536
"""Orders whose delay is remembered, the newest."""
TIMER_LEAST_S: Final = 0.0005

_CANCELS: Final = (int(CommandKind.CANCEL), int(CommandKind.CANCEL_ALL))
_PLACES: Final = (int(CommandKind.NEW), int(CommandKind.REPLACE))


class Clock(Protocol):
    @property
    def replay(self) -> bool: ...

    def __call__(self) -> int: ...


class _Line:
    """Things to do, each when its time has come; those of one time in the order they came in."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._turn = 0

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def next_ns(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    def put(self, due_ns: int, do: Callable[[], None]) -> None:
        self._turn += 1
        heapq.heappush(self._heap, (due_ns, self._turn, do))

    def run(self, now_ns: int | None) -> None:
        """What is due; None: everything."""
        while self._heap and (now_ns is None or self._heap[0][0] <= now_ns):
            heapq.heappop(self._heap)[2]()


class Delays:
    """`arrive` gets frames of commands whose time has come, `deliver` reports; a link of None: to all that want them."""

    def __init__(
        self, now_ns: Clock, arrive: Callable[[Link, bytes], None], deliver: Callable[[Link | None, Records], None]
    ) -> None:
        self._now_ns = now_ns
        self._arrive = arrive
        self._deliver = deliver
        self.documents: dict[int, bytes] = {}
        """By account: the profiles that were set, for the snapshot."""
        self._profiles: dict[int, TradingProfile] = {}
        self.commands = False
        """Some account's commands are late: otherwise frames need not be looked at."""
        self.acks = False
        """Likewise of reports."""
        self._late = np.zeros(1, np.bool_)
        """By account; the last one stands for all accounts beyond. So does the next."""
        self._late_acks = np.zeros(1, np.bool_)
        self._drawn: Counter[tuple[int, Path]] = Counter()
        self._coming = _Line()
        self._going = _Line()
        self._waiting: Counter[int] = Counter()
        """Commands by account."""
        self._coming_commands = 0
        self._held: dict[int, deque[int]] = {}
        """By account: the first sequence number of each group of reports that waits, or 0."""
        self._held_reports = 0
        self._last_ns: dict[int, int] = {}
        """By account: when the newest group of reports that waits is due."""
        self._unplaced: dict[int, int] = {}
        """Delay in ns of commands that wait or were not admitted yet, by token."""
        self._applied: OrderedDict[int, int] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waits(self) -> bool:
        return bool(self._coming or self._going)

    @property
    def next_command_ns(self) -> int | None:
        """When the next command that waits is due."""
        return self._coming.next_ns

    # -- profiles -------------------------------------------------------------------------------------------------

    def saw(self, ops: list[Op]) -> None:
        """Ops that apply: profiles are set, and orders of lists have their ids."""
        changed = False
        for op in ops:
            if op.kind == "profile":
                self.documents[op.account] = op.profile
                changed = True
            elif op.kind == "list" and self._unplaced:
                self.admitted(copied(op.commands, COMMAND))
        if changed:
            self._look_up()

    def load(self, documents: Mapping[int, bytes]) -> None:
        self.documents = dict(documents)
        self._look_up()

    def _look_up(self) -> None:
        for account, document in self.documents.items():
            one = decode_profile(document)
            if self._profiles.get(account) != one:
                self._profiles[account] = one
                for path in Path:
                    self._drawn.pop((account, path), None)
        late = [a for a, p in self._profiles.items() if p.order_latency != NO_LATENCY or p.cancel_latency != NO_LATENCY]
        late_acks = [a for a, p in self._profiles.items() if p.ack_latency != NO_LATENCY]
        self._late, self.commands = _mask(late), bool(late)
        late_acks += list(self._held)
        self._late_acks, self.acks = _mask(late_acks), bool(late_acks)

    def _draw(self, account: int, path: Path) -> int:
        profile = self._profiles.get(account)
        if profile is None:
            return 0
        n = self._drawn[account, path]
        self._drawn[account, path] += 1
        return delay_ns(latency_of(profile, path), account, path, n)

    # -- commands -------------------------------------------------------------------------------------------------

    def take(self, link: Link, body: bytes) -> tuple[bytes, Records]:
        """Keep what must wait of a frame of COMMAND[n]; what may go on at once, and what is too much (OVERLOADED)."""
        commands = np.frombuffer(body, COMMAND)
        late = self._late.take(commands["account"], mode="clip")
        if not late.any():
            return body, commands[:0]
        goes_on, refused = ~late, np.zeros(len(commands), np.bool_)
        now_ns = self._now_ns()
        for k in np.flatnonzero(late).tolist():
            account, token = int(commands["account"][k]), int(commands["token"][k])
            path = Path.CANCEL if int(commands["kind"][k]) in _CANCELS else Path.ORDER
            wait_ns = self._draw(account, path)
            if not wait_ns:
                goes_on[k] = True
            elif self._is_full(account, 1):
                refused[k] = True
            else:
                self._wait(account, [token], wait_ns)
                come = partial(self._come, account, link, commands[k : k + 1].tobytes())
                self._coming.put(now_ns + wait_ns, come)
        self._set_timer()
        return picked(commands, goes_on).tobytes(), picked(commands, refused)

    def take_list(self, commands: Records, go_on: Callable[[], None]) -> bool | None:
        """Whether the orders of a list wait before `go_on` is called; None: they are too much."""
        account = int(commands["account"][0])
        wait_ns = self._draw(account, Path.ORDER)
        if not wait_ns:
            return False
        if self._is_full(account, len(commands)):
            return None
        n = len(commands)
        self._wait(account, commands["token"].tolist(), wait_ns)

        def come() -> None:
            self._leave(account, n)
            go_on()

        self._coming.put(self._now_ns() + wait_ns, come)
        self._set_timer()
        return True

    def _is_full(self, account: int, n: int) -> bool:
        return self._coming_commands + n > COMMANDS_LIMIT or self._waiting[account] + n > ACCOUNT_LIMIT

    def _wait(self, account: int, tokens: list[int], wait_ns: int) -> None:
        self._waiting[account] += len(tokens)
        self._coming_commands += len(tokens)
        if len(self._unplaced) > 2 * COMMANDS_LIMIT:
            self._unplaced.clear()
        self._unplaced.update(dict.fromkeys(tokens, wait_ns))

    def _leave(self, account: int, n: int) -> None:
        self._waiting[account] -= n
        self._coming_commands -= n
        if not self._waiting[account]:
            del self._waiting[account]

    def _come(self, account: int, link: Link, frame: bytes) -> None:
        self._leave(account, 1)
        self._arrive(link, frame)

    def admitted(self, commands: Records, refused: Records | None = None) -> None:
        """COMMAND[n] with their order ids, and reports of those that were refused: delays are remembered by order."""
        rows = zip(*(commands[name].tolist() for name in ("token", "order_id", "kind")), strict=True)
        for token, order_id, kind in rows:
            wait_ns = self._unplaced.pop(token, None)
            if wait_ns is not None and kind in _PLACES:
                self._applied[order_id] = wait_ns
        for token in () if refused is None else refused["token"].tolist():
            self._unplaced.pop(token, None)
        while len(self._applied) > APPLIED_LIMIT:
            self._applied.popitem(last=False)

    def applied_ns(self, order_id: int) -> int | None:
        """How long the order waited before it was admitted; None: it did not, or that is not remembered."""
        return self._applied.get(order_id)

    # -- reports --------------------------------------------------------------------------------------------------

    def hold(self, link: Link | None, reports: Records) -> Records:
        """Keep what must wait of REPORT[n] told to `link`; what may be told at once. Each account's stay in order."""
        late = self._late_acks.take(reports["account"], mode="clip")
        if not late.any():
            return reports
        accounts, now_ns, goes_on = reports["account"], self._now_ns(), ~late
        for account in dict.fromkeys(accounts[late].tolist()):
            own = accounts == account
            due_ns = now_ns + self._draw(account, Path.ACK)
            if due_ns == now_ns and account not in self._held:
                goes_on |= own
                continue
            self._keep(max(due_ns, self._last_ns.get(account, 0)), account, link, picked(reports, own))
        if self._held_reports > REPORTS_LIMIT:
            log.warning("too many reports wait: all are told now", reports=self._held_reports)
            self._going.run(None)
        self._set_timer()
        return picked(reports, goes_on)

    def _keep(self, due_ns: int, account: int, link: Link | None, reports: Records) -> None:
        numbered = reports["seq"][reports["seq"] > 0]
        self._held.setdefault(account, deque()).append(int(numbered[0]) if len(numbered) else 0)
        self._held_reports += len(reports)
        self._last_ns[account] = due_ns
        self._going.put(due_ns, lambda: self._go(account, link, reports))

    def _go(self, account: int, link: Link | None, reports: Records) -> None:
        held = self._held[account]
        held.popleft()
        self._held_reports -= len(reports)
        if not held:
            del self._held[account], self._last_ns[account]
        self._deliver(link, reports)

    def told_seq(self, account: int, seq: int) -> int:
        """The newest sequence number that the account was told, where `seq` is the newest there is."""
        return min((first - 1 for first in self._held.get(account, ()) if first), default=seq)

    # -- time -----------------------------------------------------------------------------------------------------

    def moved(self) -> None:
        """Time may have come for some."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now_ns = self._now_ns()
        self._going.run(now_ns)
        self._coming.run(now_ns)
        self._set_timer()

    def _set_timer(self) -> None:
        """Of the wall's time; a replay tells when it moved."""
        if self._now_ns.replay:
            return
        due = min((one for one in (self._coming.next_ns, self._going.next_ns) if one is not None), default=None)
        if due is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        wait_s = max(TIMER_LEAST_S, (due - self._now_ns()) / 1e9)
        self._timer = asyncio.get_running_loop().call_later(wait_s, self.moved)


def _mask(accounts: list[int]) -> np.typing.NDArray[np.bool_]:
    mask = np.zeros(max(accounts, default=-1) + 2, np.bool_)
    mask[accounts] = True
    return mask
