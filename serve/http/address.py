"""Whose address a request comes from, when proxies stand between."""

from ipaddress import ip_address

import msgspec
from starlette.types import Scope


class ClientAddresses(msgspec.Struct, frozen=True):
    """The policy: which peers are proxies, and whether they tell the truth about who stands behind them.

    A proxy that passes X-Forwarded-For on as it comes lets every client choose its address, and so escape
    every limit: with `forwarded` False its header is not read and the address is unknown.
    """

    proxies: frozenset[str] = frozenset()
    forwarded: bool = False
    """The proxies append the address they see to X-Forwarded-For."""

    def of(self, scope: Scope) -> str | None:
        client = scope.get("client")
        peer: str | None = client[0] if client else None
        if peer is None or peer not in self.proxies:
            return peer
        if not self.forwarded:
            return None
        # A proxy may append to the header or add a second one.
        values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return self._behind(",".join(values))

    def _behind(self, header: str) -> str | None:
        """The right-most address that no proxy of ours has; what stands left of it is hearsay."""
        for part in reversed(header.split(",")):
            try:
                address = str(ip_address(part.strip()))
            except ValueError:
                return None
            if address not in self.proxies:
                return address
        return None
