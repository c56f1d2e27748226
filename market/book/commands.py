"""Commands as the kernel reads them: an array of COMMAND is a bare pointer too, so that handing it on costs nothing."""

from typing import Any

from numba import from_dtype, types
from numba.extending import intrinsic

from market.book.layout import COMMAND_WORDS, CommandRecord
from market.book.machine import Words, inlined
from market.records import COMMAND

_RECORD = from_dtype(COMMAND)


@intrinsic
def _record_at(_context: Any, _words: Any, _at: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(builder.gep(arguments[0], [arguments[1]]), context.get_value_type(signature.return_type))

    return _RECORD(types.CPointer(types.int64), types.int64), generate


@inlined
def command_at(commands: Words, index: int) -> CommandRecord:
    record: CommandRecord = _record_at(commands, index * COMMAND_WORDS)
    return record
