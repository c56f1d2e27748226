"""What every actor is told at its start. Plain data: it crosses process borders."""

import hashlib
from pathlib import Path
from typing import Final, Literal

import msgspec

from actors import instruments_file
from market.instrument import Instrument
from market.listing import Listing, initial_amount
from market.numbering import account_of, user_of
from market.universe import instruments

NAMESPACE: Final = "raypit"
"""Ray namespace of the exchange's named actors."""

MAKER_FEE_PPM: Final = 1000
TAKER_FEE_PPM: Final = 1000
"""The venue's base tier: 0.1 %."""

REFERENCE_ASSET: Final = "USDT"
"""Of the simulated market: equity and profit are told in it. See `Settings.reference_asset`."""


MarketTime = Literal["wall", "replay"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    data_dir: str
    run_dir: str
    """Short path, mode 0700, for Unix sockets."""
    pg_dsn: str
    redis_url: str
    symbols: int = 8
    """How many there are: of `instruments()`."""
    feed: str = "simulated"
    """Where the market comes from, in the words of `market.feed_spec`."""
    market_time: MarketTime = "wall"
    """Who is master of market time: this machine's clock, or the recording that is played."""
    replay_speed: float = 1.0
    """Market seconds per second of a replay; infinity: as fast as possible."""
    replay_loop: bool = False
    """A replay begins again when it ended."""
    rate: float = 100.0
    """Commands per second of all simulated participants together; 0: no simulated market."""
    seed: int = 1
    book_actors: int = 1
    account_actors: int = 1
    binance_limits: float = 1.0
    """The venue's request and order limits times this; 0: counted and told, but nobody is refused."""
    binance_strict: bool = True
    """Parameters that a route does not know are refused (-1104), as at the venue."""
    keep_ticks: int = 30
    """Days of market time that trades are kept; 0: for ever."""
    keep_seconds: int = 30
    """Days of market time that candles of a second are kept; 0: for ever. Longer ones always are."""
    backfill_ns: int = 0
    """So much of a venue's past, before our own first trade of a symbol, is asked for; 0: nothing."""
    export_dir: str | None = None
    """Where each whole day is exported to as Parquet; None: nowhere."""
    retrain: tuple[str, ...] = ()
    """Horizons that are trained again each day on the stored minutes."""
    data_host: str = "127.0.0.1"
    data_port: int = 0
    """Of the gateways' own WebSocket server, all replicas the same; 0: there is none."""
    metrics_port: int = 0
    """0: a free port, told by `raypit status`."""

    def instruments(self) -> list[Instrument]:
        """Symbol id is position."""
        return instruments_of(self.data_dir, self.symbols)

    def listing(self) -> Listing | None:
        """Symbols of venues and recordings with their names and grids there; None: the market is the simulated one."""
        return instruments_file.read(self.data_dir)

    @property
    def reference_asset(self) -> str:
        """Equity and profit are told in it, and a new account holds it."""
        listing = self.listing()
        return REFERENCE_ASSET if listing is None else listing.reference

    @property
    def initial_quote(self) -> int:
        """Virtual money of a new account, in whole units of the reference asset."""
        return initial_amount(self.reference_asset)

    def socket(self, name: str) -> str:
        return str(Path(self.run_dir) / f"{name}.sock")

    @property
    def prefix(self) -> str:
        """Of keys and channels in Redis, which several exchanges may share."""
        return "raypit:" + hashlib.blake2b(self.data_dir.encode(), digest_size=6).hexdigest()

    def account_of(self, user_id: int) -> int:
        return account_of(user_id, self.account_actors)

    def user_of(self, account: int) -> int:
        return user_of(account, self.account_actors)

    def book_of(self, symbol: int) -> int:
        """Book partition that owns a symbol."""
        return symbol % self.book_actors

    def symbols_of(self, partition: int) -> list[int]:
        return list(range(partition, self.symbols, self.book_actors))


def instruments_of(data_dir: str, symbols: int) -> list[Instrument]:
    """What is traded on a data folder: what is listed there, else so many of the simulated market."""
    listing = instruments_file.read(data_dir)
    return instruments(symbols) if listing is None else listing.instruments()


def book_name(partition: int) -> str:
    return f"book-{partition}"


def account_name(partition: int) -> str:
    return f"account-{partition}"
