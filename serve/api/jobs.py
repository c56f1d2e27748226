"""Scheduled work for administrators: how it went and when it runs again, and to have it run now."""

from datetime import datetime
from typing import Annotated

import asyncpg
import msgspec

from actors.job_table import JobRow, ask_to_run, list_jobs
from serve.auth.principal import ADMINS
from serve.errors import ApiError, Code
from serve.gateway import Gateway
from serve.http import Context, Endpoint
from serve.system_schema import JobList, JobView

_AWAY = (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError)


class JobPath(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: Annotated[str, msgspec.Meta(max_length=64, examples=["quality"])]


def endpoints(gateway: Gateway) -> list[Endpoint]:
    async def jobs(_: Context) -> JobList:
        try:
            return JobList([_view(row) for row in await list_jobs(gateway.pool)])
        except _AWAY as error:
            raise ApiError(Code.UNAVAILABLE, "The database does not answer now; try again.") from error

    async def run(ctx: Context) -> JobView:
        path: JobPath = ctx.params
        try:
            row = await ask_to_run(gateway.pool, path.name)
        except _AWAY as error:
            raise ApiError(Code.UNAVAILABLE, "The database does not answer now; try again.") from error
        if row is None:
            raise ApiError(
                Code.NOT_FOUND, "There is no such job; GET /api/v1/system/jobs tells which there are.", "name"
            )
        return _view(row)

    return [
        Endpoint("GET", "system/jobs", jobs, response=JobList, roles=ADMINS, tags=("system",), v1_only=True,
                 summary="Scheduled work: how it went, when it runs again", errors=(Code.UNAVAILABLE,)),
        Endpoint("POST", "admin/jobs/{name}/run", run, params=JobPath, response=JobView, status=202, roles=ADMINS,
                 tags=("system",), summary="Have a job run now",
                 description="It begins within a second or two; `GET /api/v1/system/jobs` tells how it goes.",
                 errors=(Code.NOT_FOUND, Code.UNAVAILABLE)),
    ]  # fmt: skip


def _view(row: JobRow) -> JobView:
    return JobView(
        row.name, row.schedule, row.state, row.progress, _told(row.started_at), _told(row.finished_at),
        _told(row.succeeded_at), row.duration_s, row.result, row.error, row.failures, _told(row.next_run_at),
        _told(row.asked_at),
    )  # fmt: skip


def _told(at: datetime | None) -> str | None:
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
