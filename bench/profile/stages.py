"""Which stage of an order's way a function belongs to. Pure.

A stack belongs to the innermost frame that a rule knows; helpers without a rule count for who called them, and what is
compiled (kernels, codecs) for the Python frame that called it. A thread is in a stage for the share of the time that it was seen
there, but for no more than the processor time that it used; what this leaves of it is the event loop's own. Where more wants to
run than there are cores, waiting for one counts for a stage, too, and the event loop gets too little.
"""

from collections import defaultdict
from typing import Final, NamedTuple

from bench.profile.sampling import Frame, Seen, Stacks

LOOP: Final = "event loop: poll, read, callbacks"
"""What no rule knows."""
NATIVE: Final = "threads without Python"
"""Of Ray, gRPC, numpy."""
ELSE: Final = "other work"


class Rule(NamedTuple):
    stage: str
    path: str
    """Of a file, or the beginning of one."""
    functions: frozenset[str] = frozenset()
    """Empty: all."""

    def knows(self, frame: Frame) -> bool:
        """By any part of the function's qualified name."""
        names = self.functions
        return frame.path.startswith(self.path) and (not names or not names.isdisjoint(frame.function.split(".")))


def _rules(*told: tuple[str, str, str]) -> tuple[Rule, ...]:
    """Of (stage, path, functions separated by spaces)."""
    return tuple(Rule(stage, path, frozenset(functions.split())) for stage, path, functions in told)


_READ, _CHECK, _TO, _FROM, _ENCODE, _WRITE = (
    "read, decode", "checks, command", "to the account", "from the account", "encode", "write",
)  # fmt: skip

RULES: Final = {
    "gateway": _rules(
        (_READ, "serve/sockets/data_socket.py", "on_ws_frame _gather"),
        (_READ, "serve/sockets/asgi.py", "_read"),
        (_READ, "serve/sockets/session.py", "decode received _take on_frame"),
        (_READ, "serve/sockets/packed.py", "_orders_of on_frame"),
        (_READ, "serve/http/decode.py", ""),
        ("authenticate", "serve/auth/", ""),
        (_TO, "actors/account_client.py", "submit submit_records ask_for _flush _send_list"),
        (_TO, "serve/sockets/orders.py", "_send_commands"),
        (_TO, "serve/gateway.py", "send send_records submit _telling __enter__ __exit__"),
        (_CHECK, "serve/orders.py", "place replace _new _stop _display _limit _market _check_notional cancel client_key"),
        (_CHECK, "serve/packed_orders.py", "place cancel _one_by_one _order _checked"),
        (_CHECK, "serve/sockets/orders.py", "check_may_send _cancels on_frame"),
        (_CHECK, "serve/sockets/packed.py", "_take"),
        (_CHECK, "serve/gateway.py", "pack new_client_order_id place profile_of"),
        (_CHECK, "serve/amounts.py", ""),
        (_ENCODE, "serve/sockets/session.py", "send"),
        (_ENCODE, "serve/sockets/orders.py", "_tell _answered"),
        (_ENCODE, "serve/sockets/packed.py", "_tell _answered _refuse"),
        (_ENCODE, "serve/orders.py", ""),
        (_ENCODE, "serve/packed", ""),
        (_ENCODE, "serve/gateway.py", "results _viewed"),
        (_ENCODE, "serve/http/operation.py", "_reply"),
        (_FROM, "actors/", ""),
        (_FROM, "serve/gateway.py", "_on_reports"),
        (_WRITE, "serve/sockets/data_socket.py", "flush wake"),
        (_WRITE, "serve/sockets/data_port.py", ""),
        (_WRITE, "serve/sockets/outbox.py", ""),
        (_WRITE, "serve/sockets/asgi.py", ""),
        (_WRITE, "serve/http/gate.py", "_send"),
        ("HTTP: gate, handler", "serve/http/", ""),
        ("HTTP: gate, handler", "serve/api/", ""),
        ("figures", "serve/metrics.py", ""),
        ("figures", "prometheus_client/", ""),
        ("upkeep", "serve/", ""),
        ("uvicorn, Starlette", "uvicorn/", ""),
        ("uvicorn, Starlette", "starlette/", ""),
        ("uvicorn, Starlette", "websockets/", ""),
        ("Ray and Serve", "ray/", ""),
    ),
    "account": _rules(
        ("admit", "actors/account_actor.py", "_admit_arrived _arrived _undelayed"),
        ("admit", "market/ledger/accounts.py", "admit refuse"),
        ("send to the book", "actors/account_actor.py", "_send"),
        ("send to the book", "actors/sent_commands.py", "send"),
        ("settle", "actors/sent_commands.py", "confirm"),
        ("decode batches", "actors/follower.py", ""),
        ("decode batches", "actors/wire.py", "decode_batch"),
        ("settle", "actors/account_actor.py", "_on_batch _settle _place_filled _turn"),
        ("settle", "actors/history.py", ""),
        ("settle", "market/ledger/", "settle"),
        ("reports", "actors/gateway_links.py", ""),
        ("reports", "actors/account_actor.py", "_tell _deliver _answer"),
        ("balances to PostgreSQL", "actors/balance_writer.py", ""),
        ("housekeeping, snapshots", "actors/account_actor.py", "_housekeeping snapshot _copy"),
        ("figures", "actors/meters.py", ""),
        ("figures", "prometheus_client/", ""),
        ("read", "actors/stream.py", "buffer_updated"),
        ("Ray and Serve", "ray/", ""),
    ),
    "book": _rules(
        ("inbox", "actors/book_inbox.py", ""),
        ("inbox", "actors/book_actor.py", "_on_frame _check_owned"),
        ("match", "market/", ""),
        ("encode", "actors/wire.py", "encode_batch"),
        ("commit", "actors/journal.py", ""),
        ("commit", "actors/book_actor.py", "_commit"),
        ("commit", "asyncpg/", ""),
        ("publish", "actors/book_actor.py", "_publish"),
        ("figures", "actors/metrics.py", ""),
        ("figures", "actors/meters.py", ""),
        ("figures", "prometheus_client/", ""),
        ("turn", "actors/book_actor.py", "run _step"),
        ("read", "actors/stream.py", "buffer_updated"),
        ("Ray and Serve", "ray/", ""),
    ),
    "projector": _rules(
        ("decode batches", "actors/follower.py", ""),
        ("decode batches", "actors/wire.py", "decode_batch"),
        ("shadow books, candles", "actors/live_market.py", ""),
        ("shadow books, candles", "market/", ""),
        ("market data", "actors/market_publisher.py", ""),
        ("market data", "actors/market_bus.py", ""),
        ("market data", "actors/stream_", ""),
        ("market data", "actors/redis_batch.py", ""),
        ("rows to PostgreSQL", "actors/read_models.py", ""),
        ("rows to PostgreSQL", "actors/order_", ""),
        ("rows to PostgreSQL", "actors/list_writer.py", ""),
        ("rows to PostgreSQL", "actors/staging.py", ""),
        ("rows to PostgreSQL", "asyncpg/", ""),
        (LOOP, "actors/remote.py", ""),
        (ELSE, "actors/", ""),
        ("Ray and Serve", "ray/", ""),
    ),
}  # fmt: skip
"""By part; the first that knows a frame counts."""


def stages_of(part: str, seen: Seen) -> dict[str, float]:
    """Seconds by stage."""
    found: defaultdict[str, float] = defaultdict(float)
    for tid, used in seen.cpu_s.items():
        stacks = seen.threads.get(tid, Stacks())
        if not any(stacks):
            found[NATIVE] += used
            continue
        known, each = _known(part, stacks, used, seen.seconds)
        for stack, count in known.items():
            found[_stage(part, stack)] += count * each
        found[LOOP] += max(0.0, used - sum(known.values()) * each)
    return dict(found)


def functions_of(part: str, seen: Seen) -> dict[str, float]:
    """Seconds by the innermost Python function, with what it called that is compiled; the event loop's are left out."""
    found: defaultdict[str, float] = defaultdict(float)
    for tid, stacks in seen.threads.items():
        known, each = _known(part, stacks, seen.cpu_s.get(tid, 0.0), seen.seconds)
        for stack, count in known.items():
            found[f"{stack[-1].path}:{stack[-1].function}"] += count * each
    return dict(found)


def _known(part: str, stacks: Stacks, used_s: float, seconds: float) -> tuple[dict[tuple[Frame, ...], int], float]:
    """Of a thread's samples those in a stage, and the seconds that each stands for."""
    known = {stack: count for stack, count in stacks.items() if _stage(part, stack) != LOOP}
    whole, inside = stacks.total(), sum(known.values())
    return known, min(seconds / max(1, whole), used_s / max(1, inside))


def _stage(part: str, stack: tuple[Frame, ...]) -> str:
    for frame in reversed(stack):
        for rule in RULES.get(part, ()):
            if rule.knows(frame):
                return rule.stage
    return LOOP


def order_of(part: str, stage: str) -> int:
    """Where a stage stands in its part's table."""
    names = list(dict.fromkeys(rule.stage for rule in RULES.get(part, ())))
    return names.index(stage) if stage in names else len(names) + (stage == NATIVE)
