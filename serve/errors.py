"""The public errors: one table of codes, the exception that carries one, and its JSON body (RFC 9457).

A code is part of the contract: it never changes its meaning and is never reused. Clients act on `code` and
`field`; `title` and `detail` are for people. Knows nothing of HTTP transport.
"""

from enum import StrEnum, auto
from typing import Annotated, Final

import msgspec

from market.reasons import Reason

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
MAX_DETAIL_CHARS: Final = 300
"""A detail may quote what the client sent (an unknown field's name): never more than this of it."""

MAX_FIELD_CHARS: Final = 100


class Code(StrEnum):
    """Every value of a problem's `code`."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[str]) -> str:
        return name

    # The request as such.
    MALFORMED_BODY = auto()
    VALIDATION = auto()
    BODY_TOO_LARGE = auto()
    UNSUPPORTED_MEDIA_TYPE = auto()
    REQUEST_TIMEOUT = auto()
    NOT_FOUND = auto()
    METHOD_NOT_ALLOWED = auto()

    # Who asks.
    UNAUTHENTICATED = auto()
    TOKEN_EXPIRED = auto()
    SESSION_REVOKED = auto()
    INVALID_CREDENTIALS = auto()
    FORBIDDEN = auto()
    USERNAME_TAKEN = auto()
    EMAIL_TAKEN = auto()
    WEAK_PASSWORD = auto()
    UNKNOWN_KEY = auto()
    TOO_MANY_KEYS = auto()

    # Too much, too soon, or not now.
    TOO_MANY_ATTEMPTS = auto()
    RATE_LIMITED = auto()
    OVERLOADED = auto()
    UNAVAILABLE = auto()
    ACCOUNT_UNAVAILABLE = auto()
    BOOK_UNAVAILABLE = auto()
    MARKET_DATA_UNAVAILABLE = auto()
    STATUS_UNKNOWN = auto()
    INTERNAL = auto()

    # An order or a command on one was refused.
    UNKNOWN_ACCOUNT = auto()
    ACCOUNT_PAUSED = auto()
    UNKNOWN_SYMBOL = auto()
    DUPLICATE_CLIENT_ORDER_ID = auto()
    MAX_NUM_ORDERS = auto()
    INSUFFICIENT_BALANCE = auto()
    ORDER_PENDING = auto()
    SYMBOL_HALTED = auto()
    INVALID_COMMAND = auto()
    UNKNOWN_ORDER = auto()
    PRICE_FILTER = auto()
    LOT_SIZE = auto()
    MARKET_LOT_SIZE = auto()
    NOTIONAL = auto()
    PERCENT_PRICE_BY_SIDE = auto()
    WOULD_TAKE = auto()
    BOOK_FULL = auto()
    ORDER_CHANGED = auto()
    AMEND_NOT_REDUCED = auto()
    MAX_NUM_ALGO_ORDERS = auto()
    MAX_NUM_ICEBERG_ORDERS = auto()
    MAX_NUM_ORDER_LISTS = auto()
    MAX_POSITION = auto()
    MAX_ASSET = auto()
    EXCHANGE_MAX_NUM_ORDERS = auto()
    EXCHANGE_MAX_NUM_ALGO_ORDERS = auto()
    EXCHANGE_MAX_NUM_ICEBERG_ORDERS = auto()
    EXCHANGE_MAX_NUM_ORDER_LISTS = auto()
    PERCENT_PRICE = auto()
    TRAILING_DELTA = auto()
    ICEBERG_PARTS = auto()
    STOP_WOULD_TRIGGER = auto()
    OCO_PRICES = auto()
    OCO_PAIR_REFUSED = auto()
    PEG_UNAVAILABLE = auto()
    CANCEL_RESTRICTED = auto()
    MAX_NUM_ORDER_AMENDS = auto()
    PEG_BUDGET = auto()
    ORDER_REJECTED = auto()

    # Market time is not ours to control.
    MARKET_TIME_IS_WALL = auto()

    # Predictions.
    NO_MODEL = auto()
    FEATURES_UNAVAILABLE = auto()
    PREDICTOR_UNAVAILABLE = auto()

    # A private stream cannot go on from where the client says it was.
    RESUME_AHEAD = auto()
    RESUME_TOO_OLD = auto()


class ErrorSpec(msgspec.Struct, frozen=True):
    """What a code says unless the place that raises it knows better."""

    status: int
    title: str
    detail: str
    field: str | None = None
    retry_after_s: int | None = None


_RETRY = "Nothing was done; send it again."

CATALOGUE: Final[dict[Code, ErrorSpec]] = {
    Code.MALFORMED_BODY: ErrorSpec(400, "Malformed body", "The body is not valid JSON (or MessagePack)."),
    Code.VALIDATION: ErrorSpec(422, "Invalid value", "A field is missing, unknown, or outside its domain."),
    Code.BODY_TOO_LARGE: ErrorSpec(413, "Body too large", "The body is larger than this server accepts."),
    Code.UNSUPPORTED_MEDIA_TYPE: ErrorSpec(
        415, "Unsupported media type", "Send the body as application/json or application/msgpack."
    ),
    Code.REQUEST_TIMEOUT: ErrorSpec(408, "Request timeout", "The body did not arrive in time."),
    Code.NOT_FOUND: ErrorSpec(404, "Not found", "There is nothing at this address."),
    Code.METHOD_NOT_ALLOWED: ErrorSpec(
        405,
        "Method not allowed",
        "This address does not know the method; the Allow header lists those it knows.",
    ),
    Code.UNAUTHENTICATED: ErrorSpec(
        401, "Not authenticated", "A valid access token is needed: `Authorization: Bearer <access_token>`."
    ),
    Code.TOKEN_EXPIRED: ErrorSpec(401, "Token expired", "The token has expired. Refresh the session or log in."),
    Code.SESSION_REVOKED: ErrorSpec(401, "Session revoked", "This session was ended. Log in again."),
    Code.INVALID_CREDENTIALS: ErrorSpec(401, "Invalid credentials", "The username or the password is wrong."),
    Code.FORBIDDEN: ErrorSpec(403, "Forbidden", "Your role does not permit this."),
    Code.USERNAME_TAKEN: ErrorSpec(409, "Username taken", "Somebody already uses this username.", "username"),
    Code.EMAIL_TAKEN: ErrorSpec(409, "E-mail taken", "Somebody already uses this e-mail address.", "email"),
    Code.WEAK_PASSWORD: ErrorSpec(422, "Weak password", "The password does not meet the policy.", "password"),
    Code.UNKNOWN_KEY: ErrorSpec(404, "Unknown key", "There is no such API key of yours.", "api_key"),
    Code.TOO_MANY_KEYS: ErrorSpec(409, "Too many keys", "You have as many API keys as permitted; revoke one first."),
    Code.TOO_MANY_ATTEMPTS: ErrorSpec(
        429, "Too many attempts", "Too many attempts. Wait as long as Retry-After says.", None, 60
    ),
    Code.RATE_LIMITED: ErrorSpec(429, "Rate limited", "Too many requests. Wait as long as Retry-After says.", None, 1),
    Code.OVERLOADED: ErrorSpec(503, "Overloaded", f"Too much is under way. {_RETRY}", None, 1),
    Code.UNAVAILABLE: ErrorSpec(503, "Unavailable", "A service behind this one does not answer now.", None, 1),
    Code.ACCOUNT_UNAVAILABLE: ErrorSpec(
        503,
        "Trading account unavailable",
        "You are registered, but the trading account could not be opened yet. Log in to try again.",
        None,
        1,
    ),
    Code.BOOK_UNAVAILABLE: ErrorSpec(503, "Book unavailable", f"The book does not answer now. {_RETRY}", None, 1),
    Code.MARKET_DATA_UNAVAILABLE: ErrorSpec(
        503, "Market data unavailable", "There is no current market data for this symbol now.", None, 1
    ),
    Code.STATUS_UNKNOWN: ErrorSpec(
        504,
        "Outcome unknown",
        "It is not known whether the command was executed. Query the order by its client_order_id first.",
    ),
    Code.INTERNAL: ErrorSpec(
        500,
        "Internal error",
        "Something broke here, not with you. The request_id finds it in the server's log.",
    ),
    Code.UNKNOWN_ACCOUNT: ErrorSpec(404, "Unknown account", "This trading account does not exist."),
    Code.ACCOUNT_PAUSED: ErrorSpec(409, "Account paused", "Trading is paused for this account."),
    Code.UNKNOWN_SYMBOL: ErrorSpec(404, "Unknown symbol", "This symbol is not traded here.", "symbol"),
    Code.DUPLICATE_CLIENT_ORDER_ID: ErrorSpec(
        409, "Duplicate client order id", "An order with this client_order_id exists.", "client_order_id"
    ),
    Code.MAX_NUM_ORDERS: ErrorSpec(422, "Too many open orders", "The account has as many open orders as permitted."),
    Code.INSUFFICIENT_BALANCE: ErrorSpec(
        422, "Insufficient balance", "The free balance does not cover the order and its fees."
    ),
    Code.ORDER_PENDING: ErrorSpec(
        409, "Order pending", "The order is still on its way to the book, or already being canceled."
    ),
    Code.SYMBOL_HALTED: ErrorSpec(409, "Symbol halted", "Trading in this symbol is halted.", "symbol"),
    Code.INVALID_COMMAND: ErrorSpec(422, "Invalid command", "The command's fields do not go together."),
    Code.UNKNOWN_ORDER: ErrorSpec(404, "Unknown order", "There is no such working order."),
    Code.PRICE_FILTER: ErrorSpec(
        422, "Price filter", "The price is outside the symbol's range or not a multiple of its tick.", "price"
    ),
    Code.LOT_SIZE: ErrorSpec(
        422,
        "Lot size",
        "The quantity is outside the symbol's range or not a multiple of its step.",
        "quantity",
    ),
    Code.MARKET_LOT_SIZE: ErrorSpec(
        422, "Market lot size", "The quantity is outside the symbol's range for market orders.", "quantity"
    ),
    Code.NOTIONAL: ErrorSpec(422, "Notional", "Price times quantity is outside the symbol's range."),
    Code.PERCENT_PRICE_BY_SIDE: ErrorSpec(
        422, "Percent price", "The price is too far from the market's recent price.", "price"
    ),
    Code.WOULD_TAKE: ErrorSpec(422, "Would take", "The LIMIT_MAKER order would trade at once."),
    Code.BOOK_FULL: ErrorSpec(503, "Book full", "The book holds as many orders as it can.", None, 5),
    Code.ORDER_CHANGED: ErrorSpec(409, "Order changed", "The order was filled or changed meanwhile."),
    Code.AMEND_NOT_REDUCED: ErrorSpec(
        422,
        "Amend must reduce",
        "The new quantity must be below the present one and above what is already filled.",
        "quantity",
    ),
    Code.MAX_NUM_ALGO_ORDERS: ErrorSpec(
        422, "Too many stop orders", "The account has as many waiting stop orders in this symbol as permitted."
    ),
    Code.MAX_NUM_ICEBERG_ORDERS: ErrorSpec(
        422, "Too many iceberg orders", "The account has as many iceberg orders in this symbol as permitted."
    ),
    Code.MAX_NUM_ORDER_LISTS: ErrorSpec(
        422, "Too many order lists", "The account has as many open order lists in this symbol as permitted."
    ),
    Code.MAX_POSITION: ErrorSpec(
        422, "Position too large", "The order could take the account above the symbol's largest position.", "quantity"
    ),
    Code.MAX_ASSET: ErrorSpec(422, "Asset limit", "The order moves more of an asset than one order may.", "quantity"),
    Code.EXCHANGE_MAX_NUM_ORDERS: ErrorSpec(
        422, "Too many open orders", "The account has as many open orders over all symbols as permitted."
    ),
    Code.EXCHANGE_MAX_NUM_ALGO_ORDERS: ErrorSpec(
        422, "Too many stop orders", "The account has as many waiting stop orders over all symbols as permitted."
    ),
    Code.EXCHANGE_MAX_NUM_ICEBERG_ORDERS: ErrorSpec(
        422, "Too many iceberg orders", "The account has as many iceberg orders over all symbols as permitted."
    ),
    Code.EXCHANGE_MAX_NUM_ORDER_LISTS: ErrorSpec(
        422, "Too many order lists", "The account has as many open order lists over all symbols as permitted."
    ),
    Code.PERCENT_PRICE: ErrorSpec(
        422, "Percent price", "The price is too far from the market's recent price.", "price"
    ),
    Code.TRAILING_DELTA: ErrorSpec(
        422, "Trailing delta", "The trailing delta is outside the symbol's range.", "trailing_bips"
    ),
    Code.ICEBERG_PARTS: ErrorSpec(
        422,
        "Iceberg parts",
        "The order would show itself in more parts than permitted, or in none.",
        "display_quantity",
    ),
    Code.STOP_WOULD_TRIGGER: ErrorSpec(
        422, "Stop would trigger", "The last price has already reached the stop price.", "stop_price"
    ),
    Code.OCO_PRICES: ErrorSpec(
        422, "Pair's prices", "The prices of a pair must stand on the two sides of the last price."
    ),
    Code.OCO_PAIR_REFUSED: ErrorSpec(422, "Pair refused", "The other order of the pair was refused."),
    Code.PEG_UNAVAILABLE: ErrorSpec(
        422, "No price to peg to", "The book has no such price level to take the price from.", "peg_offset"
    ),
    Code.CANCEL_RESTRICTED: ErrorSpec(
        409, "Cancel restricted", "The order is, or is not, filled in part, and the command forbids to cancel it then."
    ),
    Code.MAX_NUM_ORDER_AMENDS: ErrorSpec(422, "Too many amendments", "The order was amended as often as permitted."),
    Code.PEG_BUDGET: ErrorSpec(
        422, "Peg too dear", "At the price taken from the book the order costs more than is reserved for it."
    ),
    Code.ORDER_REJECTED: ErrorSpec(422, "Order rejected", "The order was refused."),
    Code.MARKET_TIME_IS_WALL: ErrorSpec(
        409,
        "Market time is the wall's",
        "The market follows the wall clock. Start the exchange with `--feed replay:FILE` to control its time.",
    ),
    Code.NO_MODEL: ErrorSpec(
        404, "No model", "No promoted model answers this; `GET /api/ai/models` lists those there are."
    ),
    Code.FEATURES_UNAVAILABLE: ErrorSpec(
        503, "Features unavailable", "Too little is known of the symbol yet for this model.", "symbol", 60
    ),
    Code.PREDICTOR_UNAVAILABLE: ErrorSpec(
        503, "Predictor unavailable", "The predictor does not answer now; trading is not concerned.", None, 1
    ),
    Code.RESUME_AHEAD: ErrorSpec(
        422, "Resume ahead", "The sequence number is above the account's newest report.", "from_seq"
    ),
    Code.RESUME_TOO_OLD: ErrorSpec(
        422, "Resume too old", "Reports after this sequence number are no longer kept. Read the state anew.", "from_seq"
    ),
}


class Problem(msgspec.Struct, frozen=True):
    """The body of every error answer (RFC 9457, application/problem+json)."""

    type: Annotated[str, msgspec.Meta(description="Where the code is explained.")]
    title: str
    status: Annotated[int, msgspec.Meta(description="The HTTP status, again.")]
    code: Annotated[Code, msgspec.Meta(description="Stable; act on this.")]
    detail: Annotated[str, msgspec.Meta(description="For people; may change.")]
    field: Annotated[str | None, msgspec.Meta(description="The name of the bad field, if it is one.")]
    request_id: Annotated[str, msgspec.Meta(description="As in the X-Request-Id header.")]


class ApiError(Exception):
    """Raised anywhere below an endpoint; the HTTP layer turns it into the answer."""

    def __init__(
        self,
        code: Code,
        message: str | None = None,
        field: str | None = None,
        *,
        retry_after_s: float | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        spec = CATALOGUE[code]
        super().__init__(f"{code}: {message or spec.detail}")
        self.code = code
        self.status = spec.status
        self.message = message or spec.detail
        self.field = field or spec.field
        self.retry_after_s = spec.retry_after_s if retry_after_s is None else retry_after_s
        self.headers = headers

    def problem(self, request_id: str) -> Problem:
        field = self.field
        return Problem(
            type=problem_type(self.code),
            title=CATALOGUE[self.code].title,
            status=self.status,
            code=self.code,
            detail=_clipped(self.message, MAX_DETAIL_CHARS),
            field=None if field is None else _clipped(field, MAX_FIELD_CHARS),
            request_id=request_id,
        )


def problem_type(code: Code) -> str:
    return f"/docs#error-{code}"


def _clipped(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


REFUSALS: Final[dict[Reason, Code]] = {
    reason: Code[reason.name] for reason in Reason if reason.name in Code.__members__
}
"""A refusal has the name of its reason."""


def reason_error(reason: Reason, message: str | None = None, field: str | None = None) -> ApiError:
    """The error for an order or command that the account or the book refused."""
    code = REFUSALS.get(reason)
    if code is None:
        return ApiError(Code.ORDER_REJECTED, message or f"The order was refused: {reason.name}.", field)
    return ApiError(code, message, field)


def error_table() -> str:
    """All codes as a Markdown table."""
    rows = (f"| `{code}` | {spec.status} | {spec.detail} |" for code, spec in CATALOGUE.items())
    return "\n".join(("| Code | HTTP | Meaning |", "|---|---|---|", *rows))
