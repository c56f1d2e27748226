"""Many committed batches as one run of events: what is folded into tables and the tape. Pure; numpy only."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from actors.wire import Batch
from market.numbering import OUTSIDE_ACCOUNT
from market.records import COMMAND, EVENT, Records, joined


class Run(NamedTuple):
    events: Records
    """EVENT[m] of all batches, with `command_index` into `commands`."""
    commands: Records
    ts_ns: npt.NDArray[Any]
    """int64[m]: when each event happened, as `actors.wire.event_times` tells it."""


def run_of(batches: Sequence[Batch]) -> Run:
    """Batches without events leave nothing in it."""
    told = [one for one in batches if len(one.events)]
    if not told:
        return Run(np.zeros(0, EVENT), np.zeros(0, COMMAND), np.zeros(0, np.int64))
    commands = joined([one.commands for one in told], COMMAND)
    events = joined([one.events for one in told], EVENT)
    counts = [len(one.events) for one in told]
    first_command = np.cumsum([0, *(len(one.commands) for one in told[:-1])])
    events["command_index"] += np.repeat(first_command, counts).astype(np.int32)
    ts_ns = np.repeat(np.array([one.ts_ns for one in told], np.int64), counts)
    causes = events["command_index"]
    outside = commands["account"][causes] == OUTSIDE_ACCOUNT
    if outside.any():
        ts_ns = np.where(outside, commands["target_id"][causes], ts_ns)
    return Run(events, commands, ts_ns)
