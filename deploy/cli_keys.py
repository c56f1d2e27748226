"""`raypit keys ...`: the commands; the work is in `deploy.keys`."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import orjson
import typer
from rich.table import Table

from deploy.cli_common import Data, data_folder, err, fail, out, running

keys_app = typer.Typer(no_args_is_help=True, help="API keys for programs that speak the Binance API.")

Json = Annotated[bool, typer.Option("--json")]


@keys_app.command()
def new(
    user: Annotated[str, typer.Option("--user", help="Whose key it is: the username.")],
    data: Data = None,
    create: Annotated[
        bool, typer.Option("--create", help="Make the user if there is none (without a password).")
    ] = False,
    label: Annotated[str, typer.Option(help="For people.")] = "",
    public_key: Annotated[
        Path | None, typer.Option(help="PEM file of an Ed25519 or RSA public key; else HMAC.")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="It may not trade.")] = False,
    address: Annotated[
        list[str] | None, typer.Option(help="Only from this address or network; may be repeated.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a key and show how to use it. An HMAC secret is shown this once."""
    from deploy import keys

    state = running(data)
    try:
        pem = None if public_key is None else public_key.read_text()
        made = asyncio.run(
            keys.new(
                data_folder(data),
                state,
                user,
                create=create,
                label=label,
                public_key=pem,
                can_trade=not read_only,
                addresses=address or [],
            )
        )
    except (keys.KeysError, OSError) as error:
        raise fail(str(error)) from None
    if json:
        sys.stdout.buffer.write(orjson.dumps(msgspec.structs.asdict(made)) + b"\n")
        return
    err.print(f"A key of {user}. The secret is not shown again.", style="bold")
    out.print(keys.snippets(made), highlight=False, markup=False, soft_wrap=True)


@keys_app.command("list")
def show(
    data: Data = None,
    user: Annotated[str | None, typer.Option("--user", help="Only of this user.")] = None,
    json: Json = False,
) -> None:
    """All keys, or a user's."""
    from deploy import keys

    try:
        rows = asyncio.run(keys.listed(data_folder(data), running(data), user))
    except keys.KeysError as error:
        raise fail(str(error)) from None
    if json:
        told = [
            {
                "api_key": row.api_key, "user": row.username, "kind": row.kind, "label": row.label,
                "can_read": row.can_read, "can_trade": row.can_trade, "addresses": row.addresses,
                "created_at": row.created_at, "last_used_at": row.last_used_at,
            }
            for row in rows
        ]  # fmt: skip
        sys.stdout.buffer.write(orjson.dumps(told) + b"\n")
        return
    table = Table()
    for column in ("key", "user", "kind", "label", "may", "from", "last used"):
        table.add_column(column)
    for row in rows:
        rights = " ".join(word for word, may in (("read", row.can_read), ("trade", row.can_trade)) if may)
        used = "never" if row.last_used_at is None else f"{row.last_used_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(
            row.api_key, row.username, row.kind, row.label, rights, ", ".join(row.addresses) or "anywhere", used
        )
    out.print(table)


@keys_app.command()
def revoke(api_key: Annotated[str, typer.Argument(help="The key.")], data: Data = None) -> None:
    """End a key, at once and for ever."""
    from deploy import keys

    try:
        asyncio.run(keys.revoke(data_folder(data), running(data), api_key))
    except keys.KeysError as error:
        raise fail(str(error)) from None
    out.print("revoked")
