"""A process that exports and ends: a request on its standard input, lines of how far it is on its output."""

from collections.abc import Callable

from actors import job_child
from actors.export_plan import Request, Told


async def _export(request: Request, tell: Callable[[Told], None]) -> None:
    from actors.parquet_export import export  # Arrow is loaded at low priority

    await export(request, tell)


def main() -> None:
    job_child.work(Request, _export)


if __name__ == "__main__":
    main()
