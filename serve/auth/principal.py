"""Who a request comes from."""

from enum import StrEnum
from typing import Final

import msgspec


class Role(StrEnum):
    """Stored as text in `users.role`."""

    ADMIN = "admin"
    USER = "user"
    VIEWER = "viewer"
    """Reads, never trades."""
    AGENT = "agent"
    """A simulated participant: owns an account, cannot log in."""


SIGNED_IN: Final = frozenset({Role.ADMIN, Role.USER, Role.VIEWER})
TRADERS: Final = frozenset({Role.ADMIN, Role.USER})
ADMINS: Final = frozenset({Role.ADMIN})


class Principal(msgspec.Struct, frozen=True):
    user_id: int
    username: str
    role: Role
    session_id: int
