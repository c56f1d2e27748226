"""Market time of a running exchange for the command line: the answer of a running exchange, and how it is asked."""

from typing import Any

import msgspec

from actors.config import Settings
from deploy.control import ask
from deploy.state_file import RunningState
from serve import market_time
from serve.errors import ApiError
from serve.system_schema import MarketTime, TimeControl


class TimeError(Exception):
    """Why it was not done; it names the field."""


def answer(settings: Settings, asked: str) -> dict[str, Any]:
    """`asked`: a TimeControl as JSON, or nothing: how it is."""
    try:
        if not asked:
            return {"time": market_time.status(settings), "done": True}
        told, done = market_time.control(settings, msgspec.json.decode(asked, type=TimeControl))
    except ApiError as error:
        return {"error": error.message if error.field is None else f"{error.field}: {error.message}"}
    except msgspec.ValidationError as error:
        return {"error": str(error)}
    return {"time": told, "done": done}


def status(state: RunningState) -> MarketTime:
    return _asked(state, "time")[0]


def control(state: RunningState, asked: TimeControl) -> tuple[MarketTime, bool]:
    """The time then, and whether it is where it was to go. TimeError."""
    return _asked(state, f"time {msgspec.json.encode(asked).decode()}")


def _asked(state: RunningState, question: str) -> tuple[MarketTime, bool]:
    try:
        found: Any = ask(state, question)
    except OSError as error:
        raise TimeError(f"the exchange does not answer: {error.strerror or error}") from None
    if "time" not in found:
        raise TimeError(str(found.get("error", "the exchange does not answer; see its logs")))
    return msgspec.convert(found["time"], MarketTime), bool(found["done"])
