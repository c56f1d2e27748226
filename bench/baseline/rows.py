"""What `baseline` found, as a table, and what it says about the targets."""

from typing import Final

import msgspec
from rich.table import Table

from bench.load import Figures
from bench.report import out

WANTED: Final = {1: (30.0, 10.0), 100: (300.0, 100.0)}
"""Times the baseline, aim and must, by orders a frame."""


class Row(msgspec.Struct, frozen=True):
    work: str
    """Of `bench.workload`."""
    clients: int
    orders_per_frame: int
    way: str
    """Into Raypit."""
    baseline: Figures
    raypit: Figures

    @property
    def ratio(self) -> float:
        return _rate(self.raypit) / _rate(self.baseline)


class Verdict(msgspec.Struct, frozen=True):
    text: str
    found: float
    aim: float
    must: float
    way: str
    """Of the row that counts."""


def verdicts(rows: list[Row]) -> list[Verdict]:
    """For single and for batched frames: the best of the rows with many clients, for each kind of work."""
    told = []
    for size, (aim, must) in WANTED.items():
        for work, what in (("place", "resting orders and their cancels"), ("ioc", "orders alone")):
            judged = [one for one in rows if (one.orders_per_frame, one.work) == (size, work) and one.clients > 1]
            if judged:
                best = max(judged, key=lambda one: one.ratio)
                frames = "single frames" if size == 1 else f"frames of {size}"
                told.append(Verdict(f"{frames}, {what}", best.ratio, aim, must, f"{best.clients} clients, {best.way}"))
    return told


def show(rows: list[Row]) -> None:
    table = Table(title="the same orders into both, orders and cancels a second", title_justify="left")
    for name in ("work", "clients x orders a frame", "baseline/s", "p50 ms", "p99 ms", "Raypit over"):
        table.add_column(name, justify="left" if name in ("work", "Raypit over") else "right")
    for name in ("Raypit/s", "p50 ms", "p99 ms", "ratio", "must"):
        table.add_column(name, justify="right")
    shown = None
    for row in rows:
        case = (row.work, row.clients, row.orders_per_frame)
        cells = [row.work, f"{row.clients}x{row.orders_per_frame}", *_cells(row.baseline)]
        must = f"{WANTED[row.orders_per_frame][1]:.0f}" if row.clients > 1 else ""
        table.add_row(
            *(cells if case != shown else [""] * len(cells)), row.way, *_cells(row.raypit), f"{row.ratio:.1f}", must
        )
        shown = case
    out.print(table)
    for one in verdicts(rows):
        word = "aim met" if one.found >= one.aim else "met" if one.found >= one.must else "missed"
        colour = "red" if word == "missed" else "green"
        out.print(
            f"[{colour}]{word}[/]  {one.text}: {one.found:.1f} times the baseline (must {one.must:.0f}, aim {one.aim:.0f}; "
            f"{one.way})",
            highlight=False,
        )


def _cells(one: Figures) -> list[str]:
    return [f"{_rate(one):,.0f}", f"{one.p50_ms:.2f}", f"{one.p99_ms:.2f}"]


def _rate(one: Figures) -> float:
    """Orders and cancels a second; each is a transaction of the baseline."""
    return one.commands / one.seconds
