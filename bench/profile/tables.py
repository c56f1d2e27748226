"""What `profile` found, as tables."""

from rich.table import Table

from bench.profile.loads import LoadProfile
from bench.profile.waterfall import Waterfall
from bench.report import out


def show(profile: LoadProfile, functions: int = 0) -> None:
    told = f"{profile.commands_per_s:,.0f} commands/s, p50 {profile.p50_ms:.2f} ms, p99 {profile.p99_ms:.2f} ms"
    table = Table(title=f"{profile.name}: {told}", title_justify="left")
    table.add_column("process")
    table.add_column("stage")
    for name in ("us a command", "share", "in the kernel"):
        table.add_column(name, justify="right")
    for part in profile.parts:
        kernel = f"{part.system_us / part.us:.0%}" if part.name != "load" else ""
        table.add_row(
            f"[bold]{part.name}[/]", "", f"[bold]{part.us:.2f}[/]", f"[bold]{part.us / profile.us:.0%}[/]", kernel
        )
        for stage in part.stages:
            table.add_row("", stage.name, f"{stage.us:.2f}", f"{stage.us / profile.us:.1%}")
        for one in part.functions[:functions]:
            table.add_row("", f"  [dim]{one.name}[/]", f"[dim]{one.us:.2f}[/]")
    table.add_row("[bold]sum[/]", "", f"[bold]{profile.us:.2f}[/]")
    out.print(table)


def show_waterfall(found: Waterfall) -> None:
    title = f"a lone order's way, {found.orders} orders: p50 {found.p50_us:,.0f} us, p99 {found.p99_us:,.0f} us"
    table = Table(title=title, title_justify="left")
    table.add_column("from the step before to here")
    for name in ("mean us", "p50 us", "p99 us", "share"):
        table.add_column(name, justify="right")
    whole = sum(one.mean_us for one in found.segments)
    for one in found.segments:
        table.add_row(
            one.text, f"{one.mean_us:,.0f}", f"{one.p50_us:,.0f}", f"{one.p99_us:,.0f}", f"{one.mean_us / whole:.0%}"
        )
    table.add_row("[bold]sum[/]", f"[bold]{whole:,.0f}[/]")
    out.print(table)
    if found.left_out:
        out.print(f"{found.left_out} orders are left out: a stamp was missing.", highlight=False)
