"""Identity: registering, logging in and out, renewing sessions, and telling who a token belongs to."""

import time
from collections.abc import Callable

import msgspec

from serve.auth import store
from serve.auth.limits import AttemptLimit, address_key
from serve.auth.passwords import Passwords, check_password
from serve.auth.principal import SIGNED_IN, Principal, Role
from serve.auth.profile import EMAIL, USERNAME, Profile, SignedIn, check_names, profile_of
from serve.auth.store import Connection, Pool, User, database, moment
from serve.auth.token_cache import RevocationListener, TokenCache
from serve.auth.tokens import (
    ACCESS_LIFETIME_S,
    REFRESH_LIFETIME_S,
    AccessTokens,
    new_refresh_token,
    refresh_hash,
)
from serve.errors import ApiError, Code


class IdentityLimits(msgspec.Struct, frozen=True):
    """Per minute. Classes sit behind one address: registrations are many, wrong passwords are not."""

    failures_per_account: int = 5
    failures_per_address: int = 20
    registrations_per_address: int = 30
    window_s: float = 60.0


class Identity:
    """`clock` gives UNIX seconds for the tokens' times, `monotonic` measures windows and intervals."""

    def __init__(
        self,
        pool: Pool,
        secret: bytes,
        *,
        limits: IdentityLimits | None = None,
        passwords: Passwords | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        limits = limits or IdentityLimits()
        self._pool = pool
        self._tokens = AccessTokens(secret)
        self._passwords = passwords or Passwords()
        self._clock = clock
        self._monotonic = monotonic
        self._cache = TokenCache(pool, monotonic)
        self._account_failures = AttemptLimit(limits.failures_per_account, limits.window_s)
        self._address_failures = AttemptLimit(limits.failures_per_address, limits.window_s)
        self._registrations = AttemptLimit(limits.registrations_per_address, limits.window_s)

    async def register(
        self, username: str, password: str, email: str | None = None, address: str | None = None
    ) -> SignedIn:
        """Raises VALIDATION, WEAK_PASSWORD, USERNAME_TAKEN, EMAIL_TAKEN, TOO_MANY_ATTEMPTS, OVERLOADED,
        UNAVAILABLE.
        """
        check_names(username, email)
        check_password(password, username, email)
        key, now = address_key(address), self._monotonic()
        self._registrations.check(key, now)
        self._registrations.add(key, now)
        async with database(self._pool) as connection:
            await self._refuse_taken(connection, username, email)
        async with self._passwords.turn():
            hashed = await self._passwords.hash(password)
        async with database(self._pool) as connection, connection.transaction():
            user = await store.add_user(connection, username, email, hashed, Role.USER)
            await store.audit(connection, "register", user_id=user.user_id, address=address)
            return await self._open_session(connection, user, address)

    async def _refuse_taken(self, connection: Connection, username: str, email: str | None) -> None:
        """Before the costly hash; the unique index decides in the end."""
        if await store.find_user(connection, username):
            raise ApiError(Code.USERNAME_TAKEN)
        if email is not None and await store.find_user(connection, email):
            raise ApiError(Code.EMAIL_TAKEN)

    async def login(self, name: str, password: str, address: str | None = None) -> SignedIn:
        """By username or e-mail address. Raises INVALID_CREDENTIALS, TOO_MANY_ATTEMPTS, OVERLOADED,
        UNAVAILABLE.

        An unknown name, an agent and a wrong password cost the same time and give the same answer.
        """
        user = await self._verified(name, password, address)
        if user is None or user.disabled:
            raise ApiError(Code.INVALID_CREDENTIALS)
        async with database(self._pool) as connection, connection.transaction():
            await store.audit(connection, "login", user_id=user.user_id, address=address)
            return await self._open_session(connection, user, address)

    async def _verified(self, name: str, password: str, address: str | None) -> User | None:
        account, address_part = name.lower(), address_key(address)
        self._check_failures(account, address_part)
        async with self._passwords.turn():
            # Again: others may have failed while this one waited. From here on the attempt counts until it
            # succeeds.
            now = self._check_failures(account, address_part)
            self._account_failures.add(account, now)
            self._address_failures.add(address_part, now)
            failed = False
            try:
                user = await self._find(name)
                failed = not await self._passwords.verify(password, user.password_hash if user else None)
            finally:
                if not failed:
                    self._account_failures.forgive(account, now)
                    self._address_failures.forgive(address_part, now)
        if failed:
            async with database(self._pool) as connection:
                user_id = user.user_id if user else None
                await store.audit(connection, "login_failed", user_id=user_id, address=address)
            return None
        return user

    def _check_failures(self, account: str, address: str | None) -> float:
        now = self._monotonic()
        self._account_failures.check(account, now)
        self._address_failures.check(address, now)
        return now

    async def _find(self, name: str) -> User | None:
        if not (USERNAME.fullmatch(name) or EMAIL.fullmatch(name)):
            return None
        async with database(self._pool) as connection:
            return await store.find_user(connection, name)

    async def refresh(self, refresh_token: str, address: str | None = None) -> SignedIn:
        """A new pair for an unused refresh token. A used one ends the session: one of its two holders stole
        it.

        Raises UNAUTHENTICATED, TOKEN_EXPIRED, SESSION_REVOKED, UNAVAILABLE.
        """
        hashed = refresh_hash(refresh_token)
        async with database(self._pool) as connection, connection.transaction():
            row = await store.lock_refresh_token(connection, hashed)
            # Errors are raised after the transaction: raising inside would take the revocation back.
            refusal = self._refresh_refusal(row)
            if row is not None and refusal is None:
                await store.use_refresh_token(connection, hashed)
                return await self._tokens_for(connection, row.user, row.session_id)
            if row is not None and row.used and not row.revoked:
                await store.revoke_session(connection, row.session_id)
                await store.audit(connection, "refresh_reuse", user_id=row.user.user_id, address=address)
        if row is not None and row.used:
            self._cache.drop_sessions({row.session_id})
        raise ApiError(refusal or Code.UNAUTHENTICATED)

    def _refresh_refusal(self, row: store.RefreshRow | None) -> Code | None:
        if row is None:
            return Code.UNAUTHENTICATED
        if row.used or row.revoked or row.user.disabled:
            return Code.SESSION_REVOKED
        return Code.TOKEN_EXPIRED if moment(self._clock()) >= row.expires_at else None

    async def logout(self, principal: Principal, address: str | None = None) -> None:
        """Ends the session; here at once, at other gateways within `token_cache.RECHECK_S`."""
        async with database(self._pool) as connection, connection.transaction():
            await store.revoke_session(connection, principal.session_id)
            await store.audit(connection, "logout", user_id=principal.user_id, address=address)
        self._cache.drop_sessions({principal.session_id})

    async def revoke_user(self, user_id: int) -> None:
        """Ends all sessions of a user, e.g. after the role or the password changed."""
        async with database(self._pool) as connection:
            await store.revoke_sessions_of(connection, user_id)
        await self._cache.refresh()

    async def me(self, principal: Principal) -> Profile:
        async with database(self._pool) as connection:
            user = await store.get_user(connection, principal.user_id)
        if user is None:
            raise ApiError(Code.SESSION_REVOKED)
        return profile_of(user)

    async def authenticate(self, token: str) -> Principal:
        """Who sends this token. Raises UNAUTHENTICATED, TOKEN_EXPIRED, SESSION_REVOKED, UNAVAILABLE."""
        found = self._cache.get(token)
        if found is not None and not self._cache.fresh:
            await self._cache.refresh()
            found = self._cache.get(token)
        if found is None:
            return await self._authenticate_anew(token)
        principal, expires_at = found
        if self._clock() >= expires_at:
            self._cache.forget(token)
            raise ApiError(Code.TOKEN_EXPIRED)
        return principal

    async def _authenticate_anew(self, token: str) -> Principal:
        claims = self._tokens.verify(token, self._clock())
        async with database(self._pool) as connection:
            session = await store.get_session(connection, claims.session_id, claims.user_id)
        if session is None:
            raise ApiError(Code.UNAUTHENTICATED)
        if session.revoked or session.disabled or session.role not in SIGNED_IN:
            raise ApiError(Code.SESSION_REVOKED)
        principal = Principal(claims.user_id, session.username, session.role, claims.session_id)
        self._cache.put(token, principal, claims.expires_at)
        return principal

    def on_sessions_revoked(self, listener: RevocationListener) -> None:
        """Calls the listener with the ids of ended sessions, some perhaps twice: to close their sockets."""
        self._cache.listeners.append(listener)

    async def poll_revocations(self) -> None:
        """For a gateway with long-lived sockets: call every few seconds. Requests do it by themselves."""
        await self._cache.refresh()

    async def delete_expired(self, keep_s: float = 7 * 24 * 3600.0) -> int:
        """Removes sessions that nobody can renew any more. Returns how many."""
        async with database(self._pool) as connection:
            return await store.delete_expired(connection, moment(self._clock() - keep_s))

    async def _open_session(self, connection: Connection, user: User, address: str | None) -> SignedIn:
        expires_at = moment(self._clock() + REFRESH_LIFETIME_S)
        session_id = await store.add_session(connection, user.user_id, address, expires_at)
        return await self._tokens_for(connection, user, session_id)

    async def _tokens_for(self, connection: Connection, user: User, session_id: int) -> SignedIn:
        now = self._clock()
        refresh_token = new_refresh_token()
        expires_at = moment(now + REFRESH_LIFETIME_S)
        await store.add_refresh_token(connection, refresh_hash(refresh_token), session_id, expires_at)
        return SignedIn(
            access_token=self._tokens.issue(user.user_id, session_id, user.role, now),
            token_type="Bearer",  # noqa: S106  the scheme's name
            expires_in=ACCESS_LIFETIME_S,
            refresh_token=refresh_token,
            refresh_expires_in=REFRESH_LIFETIME_S,
            user=profile_of(user),
        )


async def ensure_admin(pool: Pool, username: str, password: str, passwords: Passwords | None = None) -> int:
    """Makes this user an admin with this password and returns its id. Changes nothing when that is so
    already.

    Otherwise the user is made, or given the role and the password; the sessions it had then end.
    """
    check_names(username, None)
    check_password(password, username, None)
    passwords = passwords or Passwords()
    async with database(pool) as connection:
        user = await store.find_user(connection, username)
    async with passwords.turn():
        same = user is not None and await passwords.verify(password, user.password_hash)
        if user is not None and same and user.role is Role.ADMIN and not user.disabled:
            return user.user_id
        hashed = await passwords.hash(password)
    async with database(pool) as connection, connection.transaction():
        if user is None:
            user = await store.add_user(connection, username, None, hashed, Role.ADMIN)
        elif user.role is Role.AGENT:
            raise ApiError(Code.USERNAME_TAKEN)
        else:
            await store.make_admin(connection, user.user_id, hashed)
            await store.revoke_sessions_of(connection, user.user_id)
        await store.audit(connection, "ensure_admin", user_id=user.user_id)
    return user.user_id
