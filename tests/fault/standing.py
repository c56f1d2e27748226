"""Orders that wait: stops, trailing stops, icebergs, pegged orders and order lists of one user, over the venue's API."""

import contextlib
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from decimal import Decimal
from typing import Any, Final

from tests.system.binance import hmac_signer

BTC, ETH, XRP = "BTCUSDT", "ETHUSDT", "XRPUSDT"
FAR: Final = Decimal("0.3")
"""As a part of the price: so far from the market that nothing gets there."""


class Trader:
    """Signed requests of one key, one at a time."""

    def __init__(self, url: str, api_key: str, secret: str) -> None:
        self.url = url
        self._key = api_key
        self._sign = hmac_signer(secret)

    def ask(self, method: str, path: str, **parameters: object) -> Any:
        payload = urllib.parse.urlencode({"timestamp": time.time_ns() // 1_000_000, "recvWindow": 30_000, **parameters})
        signed = f"{self.url}/api/v3/{path}?{payload}&signature={self._sign(payload.encode())}"
        request = urllib.request.Request(signed, method=method, headers={"X-MBX-APIKEY": self._key})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def price(self, symbol: str) -> Decimal:
        with urllib.request.urlopen(f"{self.url}/api/v3/ticker/price?symbol={symbol}", timeout=20) as answer:
            return Decimal(json.load(answer)["price"])

    def offered(self, symbol: str) -> Decimal:
        """What the book sells, on its best levels: nothing yet right after a first start, nor is there a last price."""
        with urllib.request.urlopen(f"{self.url}/api/v3/depth?symbol={symbol}&limit=20", timeout=20) as answer:
            return sum((Decimal(quantity) for _, quantity in json.load(answer)["asks"]), Decimal(0))


class StandingOrders:
    """Placed once; however often the exchange dies, they and what they lock are the same afterwards."""

    def __init__(self, trader: Trader) -> None:
        self.trader = trader
        for symbol, quantity in ((BTC, Decimal("0.2")), (ETH, Decimal(2))):
            self._await(lambda s=symbol, q=quantity: trader.price(s) > 0 and trader.offered(s) >= q)
        self._place_singles(BTC)
        self._place_lists(ETH)
        self._await(lambda: "PENDING_NEW" not in self._statuses("placed"))
        self.before = self.state()
        assert len(self.before["lists"]) == 3
        assert [one["status"] for one in self.before["orders"]].count("PENDING_NEW") == 2

    def _far(self, symbol: str) -> tuple[Decimal, Decimal]:
        last = self.trader.price(symbol)
        return tuple((last * part).quantize(Decimal("0.01")) for part in (1 - FAR, 1 + FAR))  # type: ignore[return-value]

    def _place_singles(self, symbol: str) -> None:
        ask, (low, _) = self.trader.ask, self._far(symbol)
        ask("POST", "order", symbol=symbol, side="BUY", type="MARKET", quantity="0.1")
        sell, buy = ({"symbol": symbol, "side": side, "quantity": "0.01"} for side in ("SELL", "BUY"))
        resting = {"timeInForce": "GTC", "price": low}
        ask("POST", "order", **sell, type="STOP_LOSS", stopPrice=low)
        ask("POST", "order", **sell, type="STOP_LOSS_LIMIT", stopPrice=low, **resting)
        ask("POST", "order", **sell, type="STOP_LOSS", trailingDelta=2000)
        ask("POST", "order", **buy, type="TAKE_PROFIT", stopPrice=low)
        ask("POST", "order", **buy, type="LIMIT", icebergQty="0.002", **resting)
        pegged = {"pegPriceType": "PRIMARY_PEG", "price": low}
        ask("POST", "order", **buy, type="TAKE_PROFIT_LIMIT", timeInForce="GTC", stopPrice=low, **pegged)

    def _place_lists(self, symbol: str) -> None:
        ask, (low, high) = self.trader.ask, self._far(symbol)
        ask("POST", "order", symbol=symbol, side="BUY", type="MARKET", quantity="1")
        far_leg = {"aboveType": "LIMIT_MAKER", "abovePrice": high}
        near_leg = {"belowType": "STOP_LOSS", "belowStopPrice": low}
        ask("POST", "orderList/oco", symbol=symbol, side="SELL", quantity="0.1", listClientOrderId="exit", **far_leg,
            **near_leg)  # fmt: skip
        working = {"workingType": "LIMIT", "workingTimeInForce": "GTC", "workingSide": "BUY", "workingQuantity": "0.3",
                   "pendingSide": "SELL"}  # fmt: skip
        pending = {"pendingAboveType": "LIMIT_MAKER", "pendingAbovePrice": high, "pendingBelowType": "STOP_LOSS",
                   "pendingBelowTrailingDelta": 2000}  # fmt: skip
        ask("POST", "orderList/otoco", symbol=symbol, listClientOrderId="waits", pendingQuantity="0.2",
            workingPrice=low, **working, **pending)  # fmt: skip
        marketable = (self.trader.price(symbol) * Decimal("1.01")).quantize(Decimal("0.01"))
        ask("POST", "orderList/opoco", symbol=symbol, listClientOrderId="placed", workingPrice=marketable, **working,
            **pending)  # fmt: skip

    def _statuses(self, name: str) -> list[str]:
        ask = self.trader.ask
        orders = ask("GET", "orderList", origClientOrderId=name)["orders"]
        return [ask("GET", "order", symbol=one["symbol"], orderId=one["orderId"])["status"] for one in orders]

    def _await(self, condition: Any, limit_s: float = 30) -> None:
        deadline = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < deadline, f"not within {limit_s} s"
            time.sleep(0.2)  # between two looks: the exchange counts requests by weight, as the venue does

    def state(self) -> dict[str, Any]:
        ask = self.trader.ask
        return {
            "orders": sorted(ask("GET", "openOrders"), key=lambda one: one["orderId"]),
            "lists": sorted(ask("GET", "openOrderList"), key=lambda one: one["orderListId"]),
            "balances": ask("GET", "account", omitZeroBalances="true")["balances"],
        }

    def assert_unchanged(self) -> None:
        now = self.state()
        assert now["lists"] == self.before["lists"]
        assert now["orders"] == self.before["orders"]
        assert now["balances"] == self.before["balances"]

    def _placed_just_above_the_bid(self, symbol: str) -> Any:
        """A stop that the next trade at the ask triggers; when another one came before it is placed, once more."""
        ask, tick = self.trader.ask, Decimal("0.0001")
        for _ in range(20):
            sold = ask("POST", "order", symbol=symbol, side="SELL", type="MARKET", quantity="10")
            with contextlib.suppress(urllib.error.HTTPError):
                target = Decimal(sold["fills"][-1]["price"]) + tick
                return ask(
                    "POST", "order", symbol=symbol, side="SELL", type="TAKE_PROFIT", quantity="100", stopPrice=target
                )
        raise AssertionError("the market did not stand still for a moment")

    def assert_they_still_do_what_they_are_for(self) -> None:
        """A stop triggers, a list ends as a whole, and in the end nothing is locked."""
        ask = self.trader.ask
        ask("POST", "order", symbol=XRP, side="BUY", type="MARKET", quantity="500")
        stop = self._placed_just_above_the_bid(XRP)

        def triggered() -> bool:
            ask("POST", "order", symbol=XRP, side="BUY", type="MARKET", quantity="10")
            return bool(ask("GET", "order", symbol=XRP, orderId=stop["orderId"])["status"] == "FILLED")

        self._await(triggered)
        waits = ask("GET", "orderList", origClientOrderId="waits")
        ended = ask("DELETE", "orderList", symbol=ETH, orderListId=waits["orderListId"])
        assert [one["status"] for one in ended["orderReports"]] == ["CANCELED"] * 3
        pair = ask("GET", "orderList", origClientOrderId="exit")["orders"]
        ask("DELETE", "order", symbol=ETH, orderId=pair[1]["orderId"])
        assert self._statuses("exit") == ["CANCELED", "CANCELED"]
        for symbol in (BTC, ETH):
            ask("DELETE", "openOrders", symbol=symbol)
        self._await(lambda: not ask("GET", "openOrders"))
        assert ask("GET", "openOrderList") == []
        held = ask("GET", "account", omitZeroBalances="true")["balances"]
        assert all(Decimal(one["locked"]) == 0 for one in held)
