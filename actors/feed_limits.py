"""Times and bounds of a venue's feed; tests make them milliseconds."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    backoff_first_s: float = 0.25
    backoff_most_s: float = 30.0
    healthy_s: float = 60.0
    """A connection that lived so long forgives the failures before it."""
    dial_s: float = 10.0
    close_s: float = 1.0
    roll_share: float = 0.9
    """Of `max_life_s`: then a second connection is made, at a tenth of jitter earlier."""
    overlap_s: float = 10.0
    """Both connections are open at most so long; symbols that said nothing meanwhile are quiet, not lost."""
    held_most: int = 20_000
    """Frames of the second connection; when there are more it takes over at once, or, while it still subscribes, the
    oldest are left to the first. They are delivered in one go: 0.3 s."""
    subscribe_burst: int = 4
    subscribe_per_s: float = 4.0
    """Binance and Upbit take five messages a second."""
    silent_symbol_s: float = 10.0
    resync_s: float = 10.0
    """A book must be whole again so long after a gap, else the connection is given up."""
    snapshot_s: float = 10.0
    snapshots_per_minute: float = 100.0
    """Binance: weight 50 each of 6,000 a minute, most of which is left to others behind the same address."""
    snapshots_at_once: int = 4
    backfill_after_s: float = 30.0
    """The past is asked for when the books had so long to begin."""
    backfills_per_minute: float = 120.0
    """Binance: weight 2 each of 6,000 a minute, beside those for books."""
    backfills_at_once: int = 2
    symbols_every_s: float = 60.0
    """Between two symbol lists of a venue, at a fifth of jitter."""
    symbols_s: float = 30.0
    symbols_bytes: int = 64 << 20
    """Longer lists are not read."""
    max_frame_bytes: int = 16 << 20
