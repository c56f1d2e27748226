"""The OpenAPI description: valid, complete, and true to what the endpoints do."""

from typing import Annotated, Any, cast

import msgspec
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from serve.auth.endpoints import auth_endpoints
from serve.auth.identity import Identity
from serve.errors import CATALOGUE, Code
from serve.http import Context, Endpoint, build_app
from serve.openapi import build_openapi
from serve.schema_examples import REF, example_of
from tests.unit.asgi import call
from tests.unit.http_example import ENDPOINTS, Doorkeeper


async def nothing(user_id: int) -> None:
    pass


ALL = [*auth_endpoints(cast(Identity, None), nothing), *ENDPOINTS]
SPEC = build_openapi(ALL, "1.2.3")
SCRIPTS = ("docs", "page", "protocol", "schema", "session", "try")
OPERATIONS = [
    (path, method, operation) for path, methods in SPEC["paths"].items() for method, operation in methods.items()
]


@pytest.fixture
def app() -> Starlette:
    return build_app(ALL, authenticator=Doorkeeper())


def test_it_is_valid() -> None:
    OpenAPIV31SpecValidator(SPEC).validate()


def test_every_endpoint_is_there_once() -> None:
    found = {(method.upper(), path) for path, method, _ in OPERATIONS}
    probes = {("GET", "/health/live"), ("GET", "/health/ready")}
    assert found == {(one.method, one.paths[0]) for one in ALL} | probes
    identifiers = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(identifiers)) == len(identifiers)
    assert "postAuthLogin" in identifiers


def test_aliases_and_security() -> None:
    paths = SPEC["paths"]
    assert paths["/api/v1/tickets"]["get"]["x-aliases"] == ["/api/tickets"]
    assert "x-aliases" not in paths["/api/v1/address"]["get"]
    assert paths["/api/v1/tickets"]["get"]["security"] == []
    assert paths["/api/v1/orders"]["post"]["security"] == [{"bearer": []}]
    assert paths["/api/v1/orders"]["post"]["x-roles"] == ["admin", "user"]


def test_parameters_with_their_limits() -> None:
    parameters = {one["name"]: one for one in SPEC["paths"]["/api/v1/tickets"]["get"]["parameters"]}
    assert parameters["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
    assert parameters["limit"]["in"] == "query"
    assert not parameters["limit"]["required"]
    (path_parameter,) = SPEC["paths"]["/api/v1/tickets/{ticket_id}"]["delete"]["parameters"]
    assert (path_parameter["in"], path_parameter["required"]) == ("path", True)
    assert path_parameter["schema"] == {"type": "integer", "minimum": 1}
    # Structs that only carry parameters are no schemas of their own.
    assert {"Paging", "ById"}.isdisjoint(SPEC["components"]["schemas"])


def test_bodies_forbid_unknown_fields() -> None:
    schemas = SPEC["components"]["schemas"]
    assert schemas["Ticket"]["additionalProperties"] is False
    assert schemas["Register"]["properties"]["password"]["maxLength"] == 128
    content = SPEC["paths"]["/api/v1/tickets"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "application/msgpack"}


def test_every_error_an_endpoint_declares_is_listed() -> None:
    for endpoint in ALL:
        responses = SPEC["paths"][endpoint.paths[0]][endpoint.method.lower()]["responses"]
        listed = {
            code
            for status, answer in responses.items()
            for code in answer.get("content", {}).get("application/problem+json", {}).get("examples", ())
            if str(CATALOGUE[Code(code)].status) == status
        }
        assert listed == {str(code) for code in endpoint.all_errors}
        assert str(endpoint.status) in responses


def test_answers_that_are_no_json() -> None:
    answer = SPEC["paths"]["/api/v1/table.csv"]["get"]["responses"]["200"]
    assert answer["content"] == {"text/csv": {}}
    assert "content" not in SPEC["paths"]["/api/v1/auth/logout"]["post"]["responses"]["204"]


def accepts(schema: Any, value: Any) -> None:
    Draft202012Validator({**schema, "components": SPEC["components"]}).validate(value)


def test_every_example_fits_its_schema() -> None:
    problem = {"$ref": "#/components/schemas/Problem"}
    for example in SPEC["components"]["examples"].values():
        accepts(problem, example["value"])
    checked = 0
    for _, _, operation in OPERATIONS:
        contents = [answer.get("content", {}) for answer in operation["responses"].values()]
        contents.append(operation.get("requestBody", {}).get("content", {}))
        for content in contents:
            for described in content.values():
                if "example" in described:
                    accepts(described["schema"], described["example"])
                    checked += 1
        for parameter in operation.get("parameters", ()):
            accepts(parameter["schema"], parameter["example"])
    assert checked > 10


class Base(msgspec.Struct, forbid_unknown_fields=True):
    price: str
    """In the quote asset."""


class Bid(Base):
    quantity: int = msgspec.field(default=1, name="qty")
    """How many."""
    symbol: Annotated[str, msgspec.Meta(description="Which.")] = ""
    """Not this text."""
    legs: list[Base] = []


async def bid(context: Context) -> Bid:
    return Bid("1")


def test_texts_under_fields_become_descriptions() -> None:
    spec = build_openapi([Endpoint("POST", "bid", bid, request=Bid, response=Bid)], "1")
    properties = spec["components"]["schemas"]["Bid"]["properties"]
    texts = {name: described.get("description") for name, described in properties.items()}
    assert texts == {"price": "In the quote asset.", "qty": "How many.", "symbol": "Which.", "legs": None}
    assert spec["components"]["schemas"]["Base"]["properties"]["price"]["description"] == "In the quote asset."


def test_request_examples_are_the_endpoint_s_own_or_the_required_fields() -> None:
    for given, expected in (
        (None, {"price": "61250.00"}),
        (Bid("5", 2), {"price": "5", "qty": 2, "symbol": ""}),
    ):
        spec = build_openapi([Endpoint("POST", "bid", bid, request=Bid, response=Bid, example=given)], "1")
        example = spec["paths"]["/api/v1/bid"]["post"]["requestBody"]["content"]["application/json"]["example"]
        example.pop("legs", None)
        assert example == expected


class Odd(msgspec.Struct):
    positive: Annotated[int, msgspec.Meta(gt=5)]
    negative: Annotated[int, msgspec.Meta(le=-3)]
    text: Annotated[str, msgspec.Meta(min_length=8)]
    pair: tuple[int, str]
    table: dict[str, list[int]]
    choice: int | str | None
    inner: "Odd | None" = None


def test_examples_of_every_kind() -> None:
    (schema,), components = msgspec.json.schema_components([Odd], ref_template=f"{REF}{{name}}")
    value = example_of(schema, components)
    Draft202012Validator({**schema, "components": {"schemas": components}}).validate(value)


async def test_what_the_server_answers_fits_what_it_says(app: Starlette) -> None:
    for method, path, key in [
        ("GET", "/api/v1/tickets?limit=3", "/api/v1/tickets"),
        ("GET", "/api/v1/tickets?limit=0", "/api/v1/tickets"),
        ("GET", "/api/v1/refusing?x=1", "/api/v1/refusing"),
        ("GET", "/api/v1/broken", "/api/v1/broken"),
        ("POST", "/api/v1/auth/logout", "/api/v1/auth/logout"),
        ("POST", "/api/v1/auth/login", "/api/v1/auth/login"),
        ("GET", "/health/live", "/health/live"),
        ("GET", "/health/ready", "/health/ready"),
    ]:
        answer = await call(app, method, path)
        described = SPEC["paths"][key][method.lower()]["responses"][str(answer.status)]
        schema = described["content"][answer.headers["content-type"]]["schema"]
        accepts(schema, answer.json())


async def test_it_is_served_from_memory(app: Starlette) -> None:
    first = await call(app, "GET", "/openapi.json")
    assert first.json()["info"]["version"] == "0.1.0"
    again = await call(app, "GET", "/openapi.json", headers={"if-none-match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/docs.css", "text/css; charset=utf-8"),
        ("/docs/docs.js", "text/javascript; charset=utf-8"),
        ("/docs/protocol", "text/html; charset=utf-8"),
        *((f"/docs/{name}.js", "text/javascript; charset=utf-8") for name in SCRIPTS),
    ],
)
async def test_pages_need_nothing_from_elsewhere(app: Starlette, path: str, media_type: str) -> None:
    answer = await call(app, "GET", path)
    assert (answer.status, answer.headers["content-type"]) == (200, media_type)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    text = answer.body.decode()
    for foreign in ("http://", "https://", "//cdn", "eval(", "innerHTML", " style=", " onclick=", "<script>"):
        assert foreign not in text, foreign


async def test_the_page_links_the_protocol(app: Starlette) -> None:
    assert b'href="/docs/protocol"' in (await call(app, "GET", "/docs")).body


async def test_a_route_of_the_app_goes_before_the_page() -> None:
    async def own(request: Request) -> Response:
        return PlainTextResponse("own")

    app = build_app([], extra_routes=[Route("/docs/protocol.md", own)])
    assert (await call(app, "GET", "/docs/protocol.md")).body == b"own"
