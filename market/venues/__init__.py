"""Exchanges outside, decoded: bytes of a venue in, `market.venues.events` out. Pure: no I/O, no clock, no Ray.

`events` is what comes out, `adapter` what the connection engine may ask, `books` makes books of snapshots and deltas;
a module per venue. `ADAPTERS` names them all.
"""

from market.venues.adapter import AdapterFactory
from market.venues.binance import BinanceSpot, BinanceUsdm, BinanceUsdmMarket
from market.venues.bithumb import Bithumb
from market.venues.bybit import BybitLinear, BybitSpot
from market.venues.coinone import Coinone
from market.venues.gate import GateSpot
from market.venues.okx import Okx, OkxBusiness
from market.venues.upbit import Upbit

ADAPTERS: dict[str, AdapterFactory] = {
    one.name: one
    for one in (
        BinanceSpot,
        BinanceUsdm,
        BinanceUsdmMarket,
        Okx,
        OkxBusiness,
        BybitSpot,
        BybitLinear,
        GateSpot,
        Upbit,
        Bithumb,
        Coinone,
    )
}
"""A venue whose socket for candles (trades) is another one has two names."""
