"""The rows of `order_path`: which load, over which way in, beside which no-op.

The no-op of an HTTP order is `POST /api/v1/trading/echo`: it authenticates and decodes the same body as the order does, and
answers. `/health/live` does neither and stands among the further rows.
"""

from typing import Final

from bench.measure import DATA_PORT, Question

INGRESS: Final = "WS"


def questions() -> list[Question]:
    """Those of a whole run: 4 minutes."""
    http = [Question("HTTP", "", n, 1, "noop", "buy") for n in (1, 16, 64)]
    # Over the venue's API, with the native order in the place of the no-op: what speaking Binance costs.
    http.append(Question("REST", "", 16, 1, "buy", "rest_buy"))
    single = [Question(INGRESS, "JSON", n, 1, "echo", "place") for n in (1, 64)]
    single += [Question(DATA_PORT, "JSON", n, 1, "echo", "place") for n in (1, 64)]
    single.append(Question(DATA_PORT, "MessagePack", 64, 1, "echo", "place"))
    many = [Question(INGRESS, "MessagePack", 16, 100, "echo", "place")]
    many += [Question(DATA_PORT, "packed", 16, 100, "echo", "place")]
    # Orders alone: each is accepted, journaled and expires.
    many += [Question(DATA_PORT, "packed", n, 100, "echo", "ioc") for n in (16, 64)]
    crossing = [Question(DATA_PORT, "JSON", n, size, "echo", "cross") for n, size in ((1, 1), (8, 1), (8, 100))]
    return [*http, *single, *many, *crossing]


def further() -> list[Question]:
    """Only when asked for."""
    http = [Question("HTTP", "", n, 1, "live", "buy") for n in (1, 16, 64)]
    http += [Question("REST", "", n, 1, "buy", "rest_buy") for n in (1, 64)]
    single = [Question(INGRESS, "JSON", 16, 1, "echo", "place")]
    single += [Question(INGRESS, "MessagePack", n, 1, "echo", "place") for n in (1, 16, 64)]
    single += [Question(DATA_PORT, "JSON", 16, 1, "echo", "place")]
    single += [Question(DATA_PORT, "MessagePack", n, 1, "echo", "place") for n in (1, 16)]
    many = [Question(INGRESS, "JSON", n, 100, "echo", "place") for n in (1, 16, 64)]
    many += [Question(INGRESS, "MessagePack", 64, 100, "echo", "place")]
    many += [Question(DATA_PORT, "packed", n, 100, "echo", "place") for n in (1, 4, 64)]
    many += [Question(INGRESS, codec, 16, 100, "echo", "ioc") for codec in ("JSON", "MessagePack")]
    crossing = [Question(INGRESS, "JSON", n, size, "echo", "cross") for n, size in ((1, 1), (8, 1), (8, 100))]
    return [*http, *single, *many, *crossing]
