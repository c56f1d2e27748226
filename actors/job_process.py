"""A job's work in a process of its own: a request on its standard input, lines of how far it is on its output."""

import asyncio
import os
import sys
from typing import Any, Final, TypeVar

import msgspec

from actors import export_plan, retraining_plan
from actors.scheduler import Run

ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

T = TypeVar("T", export_plan.Told, retraining_plan.Told)


class JobError(RuntimeError):
    """A job cannot do its work; says why."""


async def in_a_process(module: str, request: Any, told: type[T], run: Run, limit_s: float | None = None) -> T:
    """The last line of `module`. JobError when it fails, or takes longer than `limit_s`; it never outlives the call."""
    what = module.rpartition(".")[2].replace("_process", "")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, env=os.environ | ONE_THREAD,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    complaints = asyncio.create_task(process.stderr.read())
    try:
        async with asyncio.timeout(limit_s):
            last = await _lines(process, request, told, run)
            if await process.wait():
                words = (await complaints).decode(errors="replace").strip().rpartition("\n")[2]
                raise JobError(f"the {what} ended with status {process.returncode}: {words or 'it said nothing'}")
        return last
    except TimeoutError:
        raise JobError(f"the {what} took longer than {limit_s:.0f} s and was ended") from None
    finally:
        complaints.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _lines(process: asyncio.subprocess.Process, request: Any, told: type[T], run: Run) -> T:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(msgspec.json.encode(request))
    process.stdin.close()
    decoder, last = msgspec.json.Decoder(told), told()
    async for line in process.stdout:
        last = decoder.decode(line)
        run.progress = last.fraction
    return last
