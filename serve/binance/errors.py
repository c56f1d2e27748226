"""The venue's errors: codes and texts as its documents give them, for clients that match on either.

A text is part of the contract. Everything that refuses a request of `/api/v3` or `/ws-api/v3` raises `BinanceError`.
"""

from typing import Any, Final

import msgspec

from market.reasons import Reason
from serve.errors import ApiError, Code


class ErrorBody(msgspec.Struct, omit_defaults=True):
    code: int
    msg: str
    data: Any = None


class BinanceError(Exception):
    def __init__(
        self, code: int, msg: str, status: int = 400, *, data: Any = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{code}: {msg}")
        self.code = code
        self.msg = msg
        self.status = status
        self.data = data
        self.retry_after_s = retry_after_s

    @property
    def body(self) -> ErrorBody:
        return ErrorBody(self.code, self.msg, self.data)


# -- the request as such --------------------------------------------------------------------------------------------


def unknown_error() -> BinanceError:
    return BinanceError(-1000, "An unknown error occurred while processing the request.", 500)


def disconnected() -> BinanceError:
    return BinanceError(-1001, "Internal error; unable to process your request. Please try again.", 503)


def timed_out() -> BinanceError:
    text = "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
    return BinanceError(-1007, text, 504)


def busy() -> BinanceError:
    text = "Server is currently overloaded with other requests. Please try again in a few minutes."
    return BinanceError(-1008, text, 503)


def illegal(name: str, legal: str) -> BinanceError:
    return BinanceError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def illegal_somewhere() -> BinanceError:
    return BinanceError(-1100, "Illegal characters found in a parameter.")


def duplicate() -> BinanceError:
    return BinanceError(-1101, "Duplicate values for a parameter detected.")


def too_many(expected: int, received: int) -> BinanceError:
    return BinanceError(-1101, f"Too many parameters; expected '{expected}' and received '{received}'.")


def missing(name: str) -> BinanceError:
    return BinanceError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def missing_both(one: str, other: str) -> BinanceError:
    return BinanceError(-1102, f"Param '{one}' or '{other}' must be sent, but both were empty/null!")


def too_large(name: str, most: int) -> BinanceError:
    return BinanceError(-1102, f"'{name}' contains unexpected value. Cannot be greater than {most}.")


def unread(read: int, sent: int) -> BinanceError:
    return BinanceError(-1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.")


def empty(name: str) -> BinanceError:
    return BinanceError(-1105, f"Parameter '{name}' was empty.")


def not_required(name: str) -> BinanceError:
    return BinanceError(-1106, f"Parameter '{name}' sent when not required.")


def overflowed(name: str) -> BinanceError:
    return BinanceError(-1108, f"Parameter '{name}' overflowed.")


def too_precise(name: str) -> BinanceError:
    return BinanceError(-1111, f"Parameter '{name}' has too much precision.")


def bad_combination() -> BinanceError:
    return BinanceError(-1128, "Combination of optional parameters invalid.")


def together(names: str) -> BinanceError:
    return BinanceError(-1128, f"Fields [{names}] must be sent together or omitted entirely.")


def invalid_data(name: str) -> BinanceError:
    return BinanceError(-1130, f"Data sent for parameter '{name}' is not valid.")


def too_long_a_time(hours: int) -> BinanceError:
    return BinanceError(-1127, f"More than {hours} hours between startTime and endTime.")


INVALID_TIF: Final = (-1115, "Invalid timeInForce.")
INVALID_ORDER_TYPE: Final = (-1116, "Invalid orderType.")
INVALID_SIDE: Final = (-1117, "Invalid side.")
EMPTY_NEW_ID: Final = (-1118, "New client order ID was empty.")
EMPTY_ORIG_ID: Final = (-1119, "Original client order ID was empty.")
INVALID_SYMBOL: Final = (-1121, "Invalid symbol.")
INVALID_SYMBOL_STATUS: Final = (-1122, "Invalid symbolStatus.")
NO_LISTEN_KEY: Final = (-1125, "This listenKey does not exist.")
BAD_RECV_WINDOW: Final = (-1131, "recvWindow must be less than 60000")
BAD_STRATEGY_TYPE: Final = (-1134, "strategyType was less than 1000000.")
INVALID_RESTRICTIONS: Final = (-1145, "Invalid cancelRestrictions")
DUPLICATE_SYMBOLS: Final = (-1151, "Symbol is present multiple times in the list.")
INVALID_SBE_HEADER: Final = (-1152, "Invalid `X-MBX-SBE` header; expected `<SCHEMA_ID>:<VERSION>`.")
SBE_DISABLED: Final = (-1155, "SBE is not enabled.")
INVALID_TIME_UNIT: Final = (-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
INVALID_PEG_TYPE: Final = (-1210, "Invalid pegPriceType.")
INVALID_PEG_OFFSET_TYPE: Final = (-1211, "Invalid pegOffsetType.")
UNSUPPORTED_COMBINATION: Final = (-1014, "Unsupported order combination.")
OUTSIDE_WINDOW: Final = (-1021, "Timestamp for this request is outside of the recvWindow.")
AHEAD_OF_TIME: Final = (-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
BAD_SIGNATURE: Final = (-1022, "Signature for this request is not valid.")
BAD_KEY_FORMAT: Final = (-2014, "API-key format invalid.", 401)
BAD_KEY: Final = (-2015, "Invalid API-key, IP, or permissions for action.", 401)
NO_SUCH_ORDER: Final = (-2013, "Order does not exist.")
WRONG_CLIENT_ID: Final = (-2039, "Client order ID is not correct for this order ID.")


def too_much_weight(limit: int, interval: str, retry_after_s: float) -> BinanceError:
    text = (
        f"Too much request weight used; current limit is {limit} request weight per {interval}. "
        "Please use WebSocket Streams for live updates to avoid polling the API."
    )
    return BinanceError(-1003, text, 429, retry_after_s=retry_after_s)


def too_many_requests(retry_after_s: float) -> BinanceError:
    return BinanceError(-1003, "Too many requests queued.", 429, retry_after_s=retry_after_s)


def banned(until_ms: int, retry_after_s: float) -> BinanceError:
    text = (
        f"Way too much request weight used; IP banned until {until_ms}. "
        "Please use WebSocket Streams for live updates to avoid bans."
    )
    return BinanceError(-1003, text, 418, retry_after_s=retry_after_s)


def too_many_orders(limit: int, interval: str) -> BinanceError:
    return BinanceError(-1015, f"Too many new orders; current limit is {limit} orders per {interval}.", 429)


# -- what the account and the book refuse -----------------------------------------------------------------------------

_FILTERS: Final = frozenset({
    Reason.MAX_NUM_ORDERS, Reason.MAX_NUM_ALGO_ORDERS, Reason.MAX_NUM_ICEBERG_ORDERS, Reason.MAX_NUM_ORDER_LISTS,
    Reason.MAX_POSITION, Reason.MAX_ASSET, Reason.EXCHANGE_MAX_NUM_ORDERS, Reason.EXCHANGE_MAX_NUM_ALGO_ORDERS,
    Reason.EXCHANGE_MAX_NUM_ICEBERG_ORDERS, Reason.EXCHANGE_MAX_NUM_ORDER_LISTS, Reason.PRICE_FILTER,
    Reason.LOT_SIZE, Reason.MARKET_LOT_SIZE, Reason.NOTIONAL, Reason.PERCENT_PRICE_BY_SIDE, Reason.PERCENT_PRICE,
    Reason.TRAILING_DELTA, Reason.ICEBERG_PARTS,
})  # fmt: skip

_TEXTS: Final = {
    Reason.ACCOUNT_PAUSED: "This account may not place or cancel orders.",
    Reason.UNKNOWN_ACCOUNT: "This account may not place or cancel orders.",
    Reason.DUPLICATE_CLIENT_ORDER_ID: "Duplicate order sent.",
    Reason.DUPLICATE_LIST_CLIENT_ORDER_ID: "Duplicate order sent.",
    Reason.INSUFFICIENT_BALANCE: "Account has insufficient balance for requested action.",
    Reason.SYMBOL_HALTED: "Market is closed.",
    Reason.UNKNOWN_ORDER: "Unknown order sent.",
    Reason.ORDER_PENDING: "Unknown order sent.",
    Reason.ORDER_CHANGED: "Unknown order sent.",
    Reason.WOULD_TAKE: "Order would immediately match and take.",
    Reason.AMEND_NOT_REDUCED: "Order amend (quantity increase) is not supported.",
    Reason.STOP_WOULD_TRIGGER: "Order would trigger immediately.",
    Reason.OCO_PRICES: "The relationship of the prices for the orders is not correct.",
    Reason.OCO_PAIR_REFUSED: "The relationship of the prices for the orders is not correct.",
    Reason.PEG_UNAVAILABLE: "Order book liquidity is too low for this pegged order.",
    Reason.PEG_BUDGET: "Account has insufficient balance for requested action.",
    Reason.CANCEL_RESTRICTED: "Order was not canceled due to cancel restrictions.",
    Reason.MAX_NUM_ORDER_AMENDS: "Filter failure: MAX_NUM_ORDER_AMENDS",
    Reason.INVALID_COMMAND: "Unsupported order combination",
}

NEW_ORDER: Final = -2010
CANCEL: Final = -2011
AMEND: Final = -2038


def rejected(text: str) -> BinanceError:
    return BinanceError(NEW_ORDER, text)


def cancel_rejected(text: str) -> BinanceError:
    return BinanceError(CANCEL, text)


def filter_failure(name: str) -> BinanceError:
    return BinanceError(-1013, f"Filter failure: {name}")


def refusal(code: int, reason: int) -> BinanceError:
    """The error of a refused command; `code`: NEW_ORDER, CANCEL or AMEND."""
    one = Reason(reason)
    if one in _FILTERS:
        return filter_failure(one.name)
    if one is Reason.UNKNOWN_SYMBOL:
        return BinanceError(*INVALID_SYMBOL)
    if one is Reason.BOOK_UNAVAILABLE:
        return disconnected()
    if one in (Reason.OVERLOADED, Reason.BOOK_FULL):
        return busy()
    return BinanceError(code, _TEXTS.get(one, "This action is disabled on this account."))


def translated(error: ApiError) -> BinanceError:
    """What the rest of the gateway raises, in the venue's words."""
    if error.code is Code.STATUS_UNKNOWN:
        return timed_out()
    if error.code in (Code.OVERLOADED, Code.RATE_LIMITED):
        return busy()
    if error.code is Code.UNKNOWN_SYMBOL:
        return BinanceError(*INVALID_SYMBOL)
    if error.code in (Code.BODY_TOO_LARGE, Code.REQUEST_TIMEOUT, Code.MALFORMED_BODY):
        return BinanceError(-1100, "Illegal characters found in a parameter.", error.status)
    return disconnected()
