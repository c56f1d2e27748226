"""Every refusal of the account and the book, and every failure behind the gateway, in the venue's words."""

import pytest

from market.reasons import Reason
from serve.binance.errors import AMEND, CANCEL, NEW_ORDER, refusal, translated
from serve.errors import ApiError, Code

REFUSALS = [reason for reason in Reason if 0 < reason < Reason.USER_CANCELED or reason >= Reason.MAX_NUM_ORDER_AMENDS]


@pytest.mark.parametrize(
    ("reason", "code", "text"),
    [
        (Reason.INSUFFICIENT_BALANCE, -2010, "Account has insufficient balance for requested action."),
        (Reason.DUPLICATE_CLIENT_ORDER_ID, -2010, "Duplicate order sent."),
        (Reason.DUPLICATE_LIST_CLIENT_ORDER_ID, -2010, "Duplicate order sent."),
        (Reason.MAX_NUM_ORDER_LISTS, -1013, "Filter failure: MAX_NUM_ORDER_LISTS"),
        (Reason.WOULD_TAKE, -2010, "Order would immediately match and take."),
        (Reason.STOP_WOULD_TRIGGER, -2010, "Order would trigger immediately."),
        (Reason.OCO_PRICES, -2010, "The relationship of the prices for the orders is not correct."),
        (Reason.PEG_UNAVAILABLE, -2010, "Order book liquidity is too low for this pegged order."),
        (Reason.SYMBOL_HALTED, -2010, "Market is closed."),
        (Reason.ACCOUNT_PAUSED, -2010, "This account may not place or cancel orders."),
        (Reason.UNKNOWN_SYMBOL, -1121, "Invalid symbol."),
        (Reason.LOT_SIZE, -1013, "Filter failure: LOT_SIZE"),
        (Reason.MAX_NUM_ORDERS, -1013, "Filter failure: MAX_NUM_ORDERS"),
        (Reason.EXCHANGE_MAX_NUM_ALGO_ORDERS, -1013, "Filter failure: EXCHANGE_MAX_NUM_ALGO_ORDERS"),
        (Reason.BOOK_UNAVAILABLE, -1001, "Internal error; unable to process your request. Please try again."),
        (Reason.BOOK_FULL, -1008,
         "Server is currently overloaded with other requests. Please try again in a few minutes."),
    ],
)  # fmt: skip
def test_of_a_new_order(reason: Reason, code: int, text: str) -> None:
    error = refusal(NEW_ORDER, reason)
    assert (error.code, error.msg) == (code, text)


def test_of_cancels_and_amendments() -> None:
    assert (refusal(CANCEL, Reason.UNKNOWN_ORDER).code, refusal(CANCEL, Reason.UNKNOWN_ORDER).msg) == (
        -2011, "Unknown order sent.",
    )  # fmt: skip
    restricted = refusal(CANCEL, Reason.CANCEL_RESTRICTED)
    assert (restricted.code, restricted.msg) == (-2011, "Order was not canceled due to cancel restrictions.")
    amends = refusal(AMEND, Reason.MAX_NUM_ORDER_AMENDS)
    assert (amends.code, amends.msg) == (-2038, "Filter failure: MAX_NUM_ORDER_AMENDS")


@pytest.mark.parametrize("reason", REFUSALS)
def test_every_reason_has_words(reason: Reason) -> None:
    error = refusal(NEW_ORDER, reason)
    assert error.msg
    assert error.status in (400, 503)
    assert error.msg != "This action is disabled on this account.", "no reason is left to the catch-all"


@pytest.mark.parametrize(
    ("code", "status", "told"),
    [
        (Code.STATUS_UNKNOWN, 504, -1007),
        (Code.OVERLOADED, 503, -1008),
        (Code.UNAVAILABLE, 503, -1001),
        (Code.BOOK_UNAVAILABLE, 503, -1001),
        (Code.BODY_TOO_LARGE, 413, -1100),
        (Code.UNKNOWN_SYMBOL, 400, -1121),
    ],
)
def test_what_fails_behind_the_gateway(code: Code, status: int, told: int) -> None:
    error = translated(ApiError(code))
    assert (error.status, error.code) == (status, told)
