"""`/api/account/profile`, `/api/admin/users/{name}/profile`, `/api/admin/profiles/{name}`: what accounts meet of the venue."""

from serve.auth.principal import ADMINS, SIGNED_IN
from serve.auth.store import User
from serve.errors import ApiError, Code
from serve.http import Context, Endpoint
from serve.profile_schema import (
    NamedPath,
    NamedProfile,
    NamedProfileView,
    ProfileView,
    SetProfile,
    UserPath,
    profile_of,
)
from serve.profiles import Named, Profiles, Stored


def endpoints(profiles: Profiles) -> list[Endpoint]:
    api = ProfilesApi(profiles)
    tags = ("profiles",)
    return [
        Endpoint("GET", "account/profile", api.own, response=ProfileView, roles=SIGNED_IN, tags=tags,
                 summary="Your fees, fill model, latency and rate limit", errors=(Code.UNAVAILABLE,)),
        Endpoint("GET", "admin/users/{name}/profile", api.of_user, params=UserPath, response=ProfileView, roles=ADMINS,
                 tags=tags, summary="A user's profile", errors=(Code.NOT_FOUND, Code.UNAVAILABLE)),
        Endpoint("PUT", "admin/users/{name}/profile", api.set_user, params=UserPath, request=SetProfile,
                 response=ProfileView, roles=ADMINS, tags=tags, summary="Set a user's profile",
                 description="The whole of it, or `named` alone. It holds for commands from now on; open orders keep the "
                 "fees and the fill model that they were placed with.",
                 errors=(Code.NOT_FOUND, Code.UNAVAILABLE)),
        Endpoint("GET", "admin/profiles/{name}", api.named, params=NamedPath, response=NamedProfileView, roles=ADMINS,
                 tags=tags, summary="A named profile", errors=(Code.NOT_FOUND, Code.UNAVAILABLE)),
        Endpoint("PUT", "admin/profiles/{name}", api.put_named, params=NamedPath, request=NamedProfile,
                 response=NamedProfileView, roles=ADMINS, tags=tags, summary="Make or change a named profile",
                 description="Users who were given it before keep what they have. With `self_service` it may be chosen at "
                 "registration.", errors=(Code.UNAVAILABLE,)),
        Endpoint("DELETE", "admin/profiles/{name}", api.delete_named, params=NamedPath, status=204, roles=ADMINS, tags=tags,
                 summary="Delete a named profile", description="Users who were given it keep what they have.",
                 errors=(Code.NOT_FOUND, Code.UNAVAILABLE)),
    ]  # fmt: skip


class ProfilesApi:
    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles

    async def own(self, ctx: Context) -> ProfileView:
        return _view(ctx.user.username, await self._profiles.of(ctx.user.user_id))

    async def of_user(self, ctx: Context) -> ProfileView:
        user = await self._profiles.find(ctx.params.name)
        return _view(user.username, await self._profiles.of(user.user_id))

    async def set_user(self, ctx: Context) -> ProfileView:
        user: User = await self._profiles.find(ctx.params.name)
        asked: SetProfile = ctx.body
        profile = profile_of(asked)
        if asked.named is not None:
            if asked != SetProfile(named=asked.named):
                raise ApiError(
                    Code.VALIDATION, "With `named` nothing else can be given; leave one of them out.", "named"
                )
            profile = (await self._profiles.named(asked.named, "named")).profile
        return _view(user.username, await self._profiles.set(user.user_id, profile, asked.named, by=ctx.user.user_id))

    async def named(self, ctx: Context) -> NamedProfileView:
        return _named_view(await self._profiles.named(ctx.params.name))

    async def put_named(self, ctx: Context) -> NamedProfileView:
        asked: NamedProfile = ctx.body
        return _named_view(await self._profiles.put(ctx.params.name, profile_of(asked), asked.self_service))

    async def delete_named(self, ctx: Context) -> None:
        await self._profiles.delete(ctx.params.name)


def _view(username: str, stored: Stored) -> ProfileView:
    return ProfileView(username, stored.name, stored.profile)


def _named_view(named: Named) -> NamedProfileView:
    return NamedProfileView(named.name, named.self_service, named.profile)
