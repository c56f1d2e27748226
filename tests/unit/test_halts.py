"""Symbol lists of a venue, read one after another."""

from market.venues.adapter import VenueSymbol
from market.venues.events import Status
from market.venues.halts import Halts


def listed(code: str, status: str = "TRADING") -> VenueSymbol:
    return VenueSymbol(code, code[:3], code[3:], None, None, None, status, status == "TRADING")


def test_what_changed_is_told() -> None:
    halts = Halts({"BTC-USDT": "BTCUSDT", "ETH-USDT": "ETHUSDT"})
    assert halts.read([listed("BTC-USDT"), listed("ETH-USDT"), listed("XRP-USDT", "BREAK")]) == []
    assert halts.read([listed("BTC-USDT", "BREAK")], 5) == [
        Status("BTCUSDT", 5, "halted", "BREAK"),
        Status("ETHUSDT", 5, "halted", "not listed"),
    ]
    assert halts.halted == {"BTCUSDT", "ETHUSDT"}
    assert halts.read([]) == ()
    assert halts.read([listed("BTC-USDT", "BREAK"), listed("ETH-USDT")]) == [Status("ETHUSDT", 0, "trading", "TRADING")]
