"""The OpenAPI 3.1 description, made from the same endpoints and structs that answer the requests.

So it cannot drift: a limit stated here is a limit the decoder enforces. Only texts are written by hand.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from serve.errors import CATALOGUE, PROBLEM_MEDIA_TYPE, ApiError, Code, Problem, error_table
from serve.field_docs import field_docs, structs_within
from serve.health import LIVE_PATH, READY_PATH, Live, Ready
from serve.http.endpoint import JSON, MSGPACK, Endpoint
from serve.schema_examples import REF, example_of, resolved

Json = dict[str, Any]

BEARER: Final = "bearer"
_EXAMPLE_REQUEST_ID: Final = "5f0c1d2e3a4b-1c"
_RETRYABLE: Final = frozenset(code for code, spec in CATALOGUE.items() if spec.retry_after_s is not None)

_DESCRIPTION = """\
A self-hosted exchange that is not real: virtual money, a matching engine that is meant seriously.

**Paths.** Every operation under `/api/v1/…` is also served under `/api/…` unless its description says
otherwise.

**Bodies.** JSON, or MessagePack with the same fields: send `Content-Type: application/msgpack`, ask with
`Accept: application/msgpack`. Unknown fields are refused. Money, prices and quantities are decimal strings.

**Authentication.** `Authorization: Bearer <access_token>` from `auth/login` or `auth/register`. An access
token lives 15 minutes; `auth/refresh` gives the next one.

**Requests** carry an `X-Request-Id` back, the one you sent (letters, digits, `._:-`, at most 128) or ours.

**Streams.** The WebSocket protocol is described at [/docs/protocol](/docs/protocol).

**Errors** are `application/problem+json` (RFC 9457). Act on `code`.

"""


def build_openapi(endpoints: Sequence[Endpoint], version: str) -> Json:
    structs = [struct for one in endpoints for struct in (one.request, one.query, one.params) if struct is not None]
    replies = [one.response for one in endpoints if one.response is not None and one.media_type == JSON]
    types = list(dict.fromkeys((*structs, *replies, Problem, Live, Ready)))
    schemas, components = msgspec.json.schema_components(types, schema_hook=_anything, ref_template=f"{REF}{{name}}")
    schema_of = dict(zip(types, schemas, strict=True))
    _describe_fields(types, components)
    paths: Json = {}
    for endpoint in endpoints:
        operations = paths.setdefault(f"/{endpoint.paths[0].strip('/')}", {})
        operations[endpoint.method.lower()] = _operation(endpoint, schema_of, components)
    paths[LIVE_PATH] = {"get": _probe("Is the process alive?", "getHealthLive", schema_of[Live], components)}
    paths[READY_PATH] = {"get": _probe("Is everything it needs there?", "getHealthReady", schema_of[Ready], components)}
    paths[READY_PATH]["get"]["responses"]["503"] = {
        "description": "Not ready: it says which component and why.",
        "content": {JSON: {"schema": schema_of[Ready]}},
    }
    parameter_structs = {one for endpoint in endpoints for one in (endpoint.query, endpoint.params) if one}
    for struct in parameter_structs - {one.request for one in endpoints} - set(replies):
        components.pop(schema_of[struct]["$ref"].removeprefix(REF), None)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Raypit",
            "version": version,
            "description": _DESCRIPTION + error_table(),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in _tags(endpoints)],
        "paths": paths,
        "components": {
            "schemas": components,
            "examples": {str(code): _error_example(code) for code in CATALOGUE},
            "headers": {
                "X-Request-Id": {
                    "description": "Names this request in the logs.",
                    "schema": {"type": "string"},
                },
                "Retry-After": {
                    "description": "Seconds to wait.",
                    "schema": {"type": "integer", "minimum": 0},
                },
            },
            "securitySchemes": {BEARER: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _describe_fields(types: Sequence[Any], components: Json) -> None:
    for struct in structs_within(types):
        properties = components.get(struct.__name__, {}).get("properties", {})
        for name, text in field_docs(struct).items():
            if name in properties:
                properties[name].setdefault("description", text)


def _anything(kind: type) -> Json:
    if kind is object:
        return {"description": "Any value."}
    raise NotImplementedError(kind)


def _security(endpoint: Endpoint) -> list[Json]:
    if endpoint.roles is not None:
        return [{BEARER: []}]
    return [{}, {BEARER: []}] if endpoint.knows_user else []


def _tags(endpoints: Iterable[Endpoint]) -> list[str]:
    return [*dict.fromkeys(tag for endpoint in endpoints for tag in endpoint.tags), "health"]


def _operation(endpoint: Endpoint, schema_of: Mapping[Any, Json], components: Json) -> Json:
    operation: Json = {
        "operationId": _operation_id(endpoint),
        "summary": endpoint.summary,
        "description": _description(endpoint),
        "tags": list(endpoint.tags),
        "responses": {
            **{str(one): _success(endpoint, one, schema_of, components) for one in (endpoint.status, *endpoint.also)},
            **_failures(endpoint),
        },
    }
    parameters = [
        *_parameters(endpoint.params, "path", schema_of, components),
        *_parameters(endpoint.query, "query", schema_of, components),
    ]
    if parameters:
        operation["parameters"] = parameters
    if endpoint.request is not None:
        schema = schema_of[endpoint.request]
        content = _content(schema, _request_example(endpoint, schema, components))
        operation["requestBody"] = {"required": True, "content": content}
    operation["security"] = _security(endpoint)
    if not endpoint.v1_only:
        operation["x-aliases"] = list(endpoint.paths[1:])
    if endpoint.roles is not None:
        operation["x-roles"] = sorted(endpoint.roles)
    return operation


def _operation_id(endpoint: Endpoint) -> str:
    words = re.findall(r"[A-Za-z0-9]+", endpoint.path)
    return endpoint.method.lower() + "".join(word[:1].upper() + word[1:] for word in words)


def _description(endpoint: Endpoint) -> str:
    parts = [endpoint.description]
    if endpoint.roles is not None:
        parts.append("Roles: " + ", ".join(f"`{role}`" for role in sorted(endpoint.roles)) + ".")
    if endpoint.v1_only:
        parts.append("Only under `/api/v1`.")
    return "\n\n".join(part for part in parts if part)


def _parameters(
    struct: type[msgspec.Struct] | None, place: str, schema_of: Mapping[Any, Json], components: Json
) -> list[Json]:
    if struct is None:
        return []
    schema = resolved(schema_of[struct], components)
    required = set(schema.get("required", ()))
    found = []
    for name, described in schema["properties"].items():
        parameter: Json = {"name": name, "in": place, "required": place == "path" or name in required}
        own = dict(described)
        description = own.pop("description", None)
        if description is not None:
            parameter["description"] = description
        parameter["schema"] = own
        parameter["example"] = example_of(described, components)
        found.append(parameter)
    return found


def _content(schema: Json, example: Any) -> Json:
    return {JSON: {"schema": schema, "example": example}, MSGPACK: {"schema": schema}}


def _request_example(endpoint: Endpoint, schema: Json, components: Json) -> Any:
    """The endpoint's own, or the required fields: all fields together seldom make sense."""
    if endpoint.example is not None:
        return msgspec.to_builtins(endpoint.example)
    required = resolved(schema, components).get("required", ())
    whole = example_of(schema, components)
    return _without_nulls({name: value for name, value in whole.items() if name in required})


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _success(endpoint: Endpoint, status: int, schema_of: Mapping[Any, Json], components: Json) -> Json:
    answer: Json = {
        "description": HTTPStatus(status).phrase,
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}},
    }
    if endpoint.media_type != JSON:
        answer["content"] = {endpoint.media_type: {}}
    elif endpoint.response is not None:
        schema = schema_of[endpoint.response]
        answer["content"] = _content(schema, example_of(schema, components))
    return answer


def _failures(endpoint: Endpoint) -> Json:
    by_status: dict[int, list[Code]] = {}
    for code in endpoint.all_errors:
        by_status.setdefault(CATALOGUE[code].status, []).append(code)
    return {str(status): _failure(codes) for status, codes in sorted(by_status.items())}


def _failure(codes: list[Code]) -> Json:
    headers = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    if _RETRYABLE.intersection(codes):
        headers["Retry-After"] = {"$ref": "#/components/headers/Retry-After"}
    return {
        "description": "; ".join(f"`{code}`: {CATALOGUE[code].title}" for code in codes),
        "headers": headers,
        "content": {
            PROBLEM_MEDIA_TYPE: {
                "schema": {"$ref": f"{REF}Problem"},
                "examples": {str(code): {"$ref": f"#/components/examples/{code}"} for code in codes},
            }
        },
    }


def _error_example(code: Code) -> Json:
    problem = msgspec.to_builtins(ApiError(code).problem(_EXAMPLE_REQUEST_ID))
    return {"summary": CATALOGUE[code].title, "value": problem}


def _probe(summary: str, operation_id: str, schema: Json, components: Json) -> Json:
    return {
        "operationId": operation_id,
        "summary": summary,
        "description": "Answered before any queue or limit, without authentication.",
        "tags": ["health"],
        "security": [],
        "responses": {
            "200": {
                "description": "Yes",
                "content": {JSON: {"schema": schema, "example": example_of(schema, components)}},
            }
        },
    }
