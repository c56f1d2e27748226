"""`raypit profile ...`: the commands; the work is in `deploy.profiles`."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.table import Table

from deploy.cli_common import Data, data_folder, fail, out, running

if TYPE_CHECKING:
    from market.profile import Latency
    from serve.profiles import Stored

profile_app = typer.Typer(
    no_args_is_help=True, help="What a user meets of the venue: fees, fill model, latency, limits."
)

Json = Annotated[bool, typer.Option("--json")]
User = Annotated[str, typer.Argument(help="The username.")]
LATENCY_HELP = "Such as 25ms, lognormal:20ms,0.5,200ms (median, sigma, most), samples:18,22,40 or none."
LatencyWord = Annotated[str | None, typer.Option(metavar="LATENCY", help=LATENCY_HELP, show_default=False)]


@profile_app.command("set")
def set_(
    user: User,
    data: Data = None,
    named: Annotated[str | None, typer.Option("--named", help="A copy of this named profile.")] = None,
    fee: Annotated[str | None, typer.Option("--fee", help="vip0 to vip9, or MAKER,TAKER in parts per million.")] = None,
    fill_model: Annotated[
        str | None, typer.Option("--fill-model", help="proportional, back, touch or through.")
    ] = None,
    order_latency: LatencyWord = None,
    cancel_latency: LatencyWord = None,
    ack_latency: LatencyWord = None,
    data_latency: LatencyWord = None,
    rate_limit: Annotated[float | None, typer.Option("--rate-limit", help="Times the usual; 0: none.")] = None,
    json: Json = False,
) -> None:
    """Change a user's profile; what is not given stays. It holds for orders from now on."""
    from deploy import profiles

    latencies = {
        "order_latency": order_latency, "cancel_latency": cancel_latency, "ack_latency": ack_latency,
        "data_latency": data_latency,
    }  # fmt: skip
    try:
        fields: dict[str, Any] = {
            name: profiles.latency_of(f"--{name.replace('_', '-')}", text)
            for name, text in latencies.items()
            if text is not None
        }
        if fee is not None:
            fields["fees"] = _fees(fee)
        if fill_model is not None:
            fields["fill_model"] = profiles.fill_model_of(fill_model)
        if rate_limit is not None:
            fields["rate_limit"] = rate_limit
        if (named is None) == (not fields):
            raise fail("give --named alone, or what is to change: --fee, --fill-model, --order-latency, ...", 2)
        username, stored = asyncio.run(profiles.changed(running(data), data_folder(data), user, named, fields))
    except profiles.ProfileError as error:
        raise fail(str(error)) from None
    _tell(username, stored, json)


@profile_app.command()
def show(user: User, data: Data = None, json: Json = False) -> None:
    """A user's profile."""
    from deploy import profiles

    try:
        username, stored = asyncio.run(profiles.shown(running(data), user))
    except profiles.ProfileError as error:
        raise fail(str(error)) from None
    _tell(username, stored, json)


def _fees(text: str) -> Any:
    maker, comma, taker = text.partition(",")
    if not comma:
        return text
    try:
        return {"name": "own", "maker_ppm": int(maker), "taker_ppm": int(taker)}
    except ValueError:
        raise fail(
            f"--fee: {text!r} is neither a tier, such as vip3, nor two whole numbers, such as 200,400.", 2
        ) from None


def _tell(username: str, stored: "Stored", json: bool) -> None:
    import msgspec

    profile = stored.profile
    if json:
        told = {"username": username, "named": stored.name, "profile": msgspec.to_builtins(profile)}
        sys.stdout.buffer.write(orjson.dumps(told) + b"\n")
        return
    table = Table(box=None, show_header=False)
    table.add_row("user", username)
    if stored.name is not None:
        table.add_row("copied from", stored.name)
    fees = profile.fees
    table.add_row("fees", f"{fees.name}: maker {fees.maker_ppm / 10_000:g} %, taker {fees.taker_ppm / 10_000:g} %")
    table.add_row("fill model", profile.fill_model.lower())
    table.add_row("rate limit", "none" if not profile.rate_limit else f"{profile.rate_limit:g} x")
    for name in ("order_latency", "cancel_latency", "ack_latency", "data_latency"):
        table.add_row(name.replace("_", " "), _words(getattr(profile, name)))
    out.print(table)


def _words(one: "Latency") -> str:
    from market.profile import Constant, Empirical, Lognormal

    if isinstance(one, Constant):
        return f"{one.ms:g} ms"
    if isinstance(one, Empirical):
        return f"one of {len(one.samples_ms)} samples, {min(one.samples_ms):g} to {max(one.samples_ms):g} ms"
    if isinstance(one, Lognormal):
        return f"lognormal, median {one.median_ms:g} ms, sigma {one.sigma:g}, at most {one.cap_ms:g} ms"
    return "none"
