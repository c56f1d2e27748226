"""What `order_path` found, as tables."""

from typing import Final

from rich.table import Table

from bench.load import LOAD
from bench.measure import Finding
from bench.order_targets import Target
from bench.report import out

_PARTS: Final = ("gateway", "account", "book", "projector", "postgres", "valkey", "haproxy", "feed", "other", LOAD)
_LEAST_CPU_S: Final = 0.01
"""A part that used less in every row has no column."""


def show_rates(findings: list[Finding]) -> None:
    table = Table(
        title="no-op and durable order, frames a second and round trips; MB/s of journal", title_justify="left"
    )
    table.add_column("clients x orders a frame", no_wrap=True)
    for name in (
        "no-op/s",
        "p50 ms",
        "order/s",
        "p50 ms",
        "p99 ms",
        "ratio",
        "orders/s",
        "cancels/s",
        "fills/s",
        "journal MB/s",
    ):
        table.add_column(name, justify="right")
    for one in findings:
        noop, order = one.noop, one.order
        table.add_row(
            one.name,
            f"{noop.requests / noop.seconds:,.0f}",
            f"{noop.p50_ms:.2f}",
            f"{order.requests / order.seconds:,.0f}",
            f"{order.p50_ms:.2f}",
            f"{order.p99_ms:.2f}",
            f"{one.ratio:.0%}",
            *(f"{n / order.seconds:,.0f}" if n else "" for n in (order.orders, order.cancels, order.fills)),
            f"{order.journal_bytes / order.seconds / 1e6:.2f}" if order.journal_bytes else "",
        )
    out.print(table)


def show_cpu(findings: list[Finding]) -> None:
    used = [part for part in _PARTS if any(one.order.cpu_s.get(part, 0.0) > _LEAST_CPU_S for one in findings)]
    table = Table(title="processor time by part: microseconds of a command (order or cancel)", title_justify="left")
    table.add_column("clients x orders a frame", no_wrap=True)
    for name in (*used, "sum", "sum of a no-op"):
        table.add_column(name, justify="right")
    for one in findings:
        each = [one.order.cpu_s.get(part, 0.0) / max(1, one.order.commands) * 1e6 for part in used]
        noop = sum(one.noop.cpu_s.values()) / one.noop.requests * 1e6
        table.add_row(one.name, *(f"{value:.1f}" for value in each), f"{sum(each):.1f}", f"{noop:.1f}")
    out.print(table)


def show_targets(targets: list[Target]) -> None:
    if not targets:
        return
    table = Table(title="targets on two cores; of several rows the best counts", title_justify="left")
    table.add_column("question")
    for name in ("found", "aim", "must", ""):
        table.add_column(name, justify="right")
    for one in targets:
        share = max(one.aim, one.must) < 1 and one.aim > one.must
        cells = [_told(value, share) for value in (one.found, one.aim, one.must)]
        table.add_row(one.text, *cells, f"[{'green' if one.met else 'red'}]{one.verdict}[/]")
    out.print(table)


def _told(value: float, share: bool) -> str:
    if share:
        return f"{value:.0%}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
