"""Rows of the matrix that wait for a part of Raypit that is not there yet: test -> what it waits for.

A pending row runs and must fail; when it begins to pass, the run fails until it is taken off here.
"""

from typing import Final

_STOPS: Final = "stop orders reserve funds"
_ICEBERGS: Final = "iceberg orders reserve funds"
_LISTS: Final = "order lists reserve funds"

PENDING: Final[dict[str, str]] = {
    "test_ccxt_orders::test_stop_loss": _STOPS,
    "test_ccxt_orders::test_stop_loss_limit": _STOPS,
    "test_ccxt_orders::test_take_profit": _STOPS,
    "test_ccxt_orders::test_take_profit_limit": _STOPS,
    "test_ccxt_orders::test_trailing": _STOPS,
    "test_ccxt_orders::test_iceberg": _ICEBERGS,
    "test_python_binance::test_stop_loss": _STOPS,
    "test_python_binance::test_stop_loss_limit": _STOPS,
    "test_python_binance::test_take_profit": _STOPS,
    "test_python_binance::test_take_profit_limit": _STOPS,
    "test_python_binance::test_trailing": _STOPS,
    "test_python_binance::test_iceberg": _ICEBERGS,
    "test_python_binance::test_oco": _LISTS,
    "test_python_binance_sockets::test_ws_oco": _LISTS,
    "test_sdk_rest::test_stop_losses": _STOPS,
    "test_sdk_rest::test_take_profits": _STOPS,
    "test_sdk_rest::test_trailing": _STOPS,
    "test_sdk_rest::test_iceberg": _ICEBERGS,
    "test_sdk_rest::test_oco": _LISTS,
    "test_sdk_rest::test_oco_fills": _LISTS,
    "test_sdk_rest::test_oto": _LISTS,
    "test_sdk_rest::test_otoco": _LISTS,
    "test_sdk_rest::test_opo": _LISTS,
    "test_sdk_ws_api::test_oco": _LISTS,
}
