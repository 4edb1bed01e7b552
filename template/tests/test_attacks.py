"""What somebody does who means no good, to every route that there is, also to those that are not written yet."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx2
import pytest
from pwdlib import PasswordHash

from app import rate_limits
from app.security import LocalTokens
from support import PASSWORD, PRODUCTION, Headers, MakeClient, SignIn, UserFactory, assert_problem

RULES = (Path(__file__).parents[1] / "docs" / "security.md").read_text("utf-8")
JSON = {"Content-Type": "application/json"}
PRODUCT = ("7919*7907", "62615533")
"""What an interpreter would compute, and its result."""
INJECTIONS = [
    "' OR '1'='1",
    "1; DROP TABLE users --",
    "${" + PRODUCT[0] + "}",
    "{" * 2 + PRODUCT[0] + "}" * 2,
    "../../etc/passwd",
    "%",
    "\x00",
]


class Route(NamedTuple):
    """One operation of the OpenAPI document."""

    method: str
    path: str
    operation: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    def url(self, value: str = "1") -> str:
        """The path, with `value` for each parameter."""
        return re.sub(r"{\w+}", value, self.path)


def declared(heading: str) -> set[str]:
    """The routes that docs/security.md lists under `heading`."""
    section = RULES.partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    return set(re.findall(r"^\| `([A-Z]+ /\S*)` \|", section, re.MULTILINE))


@pytest.fixture
async def document(async_client: httpx2.AsyncClient) -> dict[str, Any]:
    """The OpenAPI document of the service."""
    found: dict[str, Any] = (await async_client.get("/openapi.json")).json()
    return found


@pytest.fixture
def routes(document: dict[str, Any]) -> list[Route]:
    """Every route of the service."""
    found = [
        Route(method.upper(), path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    assert len(found) >= 8
    return found


def schemas(document: dict[str, Any], part: Any) -> Iterator[dict[str, Any]]:
    """Every object that `part` of the document holds, also those that it refers to."""
    seen: set[str] = set()
    parts = [part]
    while parts:
        match parts.pop():
            case {"$ref": str(reference)} if reference not in seen:
                seen.add(reference)
                parts.append(document["components"]["schemas"][reference.rpartition("/")[2]])
            case dict(found):
                if "properties" in found:
                    yield found
                parts.extend(found.values())
            case list(found):
                parts.extend(found)


# Who may call what


@pytest.mark.slow
async def test_only_what_is_declared_is_open(async_client: httpx2.AsyncClient, routes: list[Route]) -> None:
    answered = {route.name: await async_client.request(route.method, route.url()) for route in routes}
    refused = {name for name, response in answered.items() if response.status_code == 401}
    assert answered.keys() - refused == declared("Open to everybody")
    for name in refused:
        assert_problem(answered[name], 401)
        assert "www-authenticate" in answered[name].headers


@pytest.mark.parametrize("where", ["query", "cookie", "basic", "another header"])
async def test_a_token_counts_only_where_it_belongs(
    async_client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn, where: str
) -> None:
    token = sign_in(await user_factory())["Authorization"].removeprefix("Bearer ")
    query = f"?access_token={token}&token={token}" if where == "query" else ""
    headers = {
        "query": {},
        "cookie": {"Cookie": f"access_token={token}; session={token}; Authorization=Bearer {token}"},
        "basic": {"Authorization": f"Basic {token}"},
        "another header": {"X-Authorization": f"Bearer {token}", "X-User-ID": "1"},
    }[where]
    assert_problem(await async_client.get(f"/users/me{query}", headers=headers), 401)


async def test_a_user_is_no_administrator(
    async_client: httpx2.AsyncClient,
    routes: list[Route],
    user_factory: UserFactory,
    sign_in: SignIn,
    settings: Any,
) -> None:
    user = await user_factory()
    roles = LocalTokens(settings).issue(str(user.id), {"read", "admin2", "Admin", "administrator"})
    administrators = declared("Only for administrators")
    assert administrators <= {route.name for route in routes}
    for route in routes:
        for headers in (sign_in(user), {"Authorization": f"Bearer {roles}"}):
            if route.name in administrators:
                assert_problem(await async_client.request(route.method, route.url(), headers=headers), 403)


async def test_nobody_is_there_from_the_beginning(async_client: httpx2.AsyncClient, admin: Headers) -> None:
    users = (await async_client.get("/users", headers=admin)).json()
    assert [user["email"] for user in users["items"]] == ["admin@example.com"], "the one that this test has made"


@pytest.mark.slow
async def test_no_route_takes_another_method(async_client: httpx2.AsyncClient, routes: list[Route]) -> None:
    for path in {route.path for route in routes}:
        known = {route.method for route in routes if route.path == path}
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "CONNECT", "X-EVIL"} - known:
            response = await async_client.request(method, re.sub(r"{\w+}", "1", path))
            if response.status_code not in {401, 422}:  # a route beside it, such as /users/me and /users/{user_id}
                assert_problem(response, 405)
        override = {"X-HTTP-Method-Override": "DELETE", "X-Method-Override": "DELETE"}
        response = await async_client.request("PUT", re.sub(r"{\w+}", "1", path), headers=override)
        assert_problem(response, 405)


# What goes in


async def test_no_body_takes_what_it_does_not_name(document: dict[str, Any], routes: list[Route]) -> None:
    bodies = [found for route in routes for found in schemas(document, route.operation.get("requestBody"))]
    assert bodies
    for body in bodies:
        assert body["additionalProperties"] is False, body["title"]


async def test_nobody_registers_as_more_than_a_user(async_client: httpx2.AsyncClient) -> None:
    ada = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
    for name in ("is_admin", "isAdmin", "id", "password_hash", "subject", "scope", "created_at", "__class__"):
        assert_problem(await async_client.post("/users", json=ada | {name: True}), 422)
    assert (await async_client.post("/users", json=ada)).json()["is_admin"] is False


async def test_a_body_is_not_taken_from_elsewhere(async_client: httpx2.AsyncClient) -> None:
    ada = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
    for body in ({}, {"name": "Ada"}):
        assert_problem(await async_client.post("/users", params=ada, json=body, headers={"Cookie": "name=Ada"}), 422)


async def test_no_body_of_another_type_is_read(
    async_client: httpx2.AsyncClient, routes: list[Route], admin: Headers
) -> None:
    for kind in ("text/plain", "application/xml", "multipart/form-data; boundary=x", "text/html"):
        for route in routes:
            if "application/json" in route.operation.get("requestBody", {}).get("content", {}):
                headers = admin | {"Content-Type": kind}
                response = await async_client.request(route.method, route.url(), content=b"{}", headers=headers)
                if response.status_code != 401:  # signed in another way
                    assert_problem(response, 415)


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": ' + b"9" * 5000 + b"}",
        b'{"name": 1e999}',
        b'{"name": NaN}',
        b'{"name": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        gzip.compress(b"{}"),
        b"\xef\xbb\xbf{}",
        b"\x00",
    ],
    ids=["digits", "infinite", "NaN", "surrogate", "deep list", "deep object", "compressed", "byte order mark", "NUL"],
)
async def test_no_body_makes_the_service_fail(async_client: httpx2.AsyncClient, body: bytes) -> None:
    for headers in (JSON, JSON | {"Content-Encoding": "gzip"}):
        response = await async_client.post("/users", content=body, headers=headers)
        assert response.status_code in {400, 422}
        assert_problem(response, response.status_code)


@pytest.mark.slow
async def test_no_text_is_more_than_a_text(
    async_client: httpx2.AsyncClient, routes: list[Route], admin: Headers
) -> None:
    for value in INJECTIONS:
        for route in (route for route in routes if route.method == "GET"):
            names = [parameter["name"] for parameter in route.operation.get("parameters", [])]
            url = route.url(quote(value, safe=""))
            response = await async_client.get(url, params=dict.fromkeys(names, value), headers=admin)
            assert response.status_code < 500, (route.name, value)
            assert PRODUCT[1] not in response.text
        form = {"username": value, "password": PASSWORD}
        assert (await async_client.post("/auth/token", data=form)).status_code in {401, 422}


# What comes out


async def test_no_answer_holds_a_secret_of_a_user(document: dict[str, Any], routes: list[Route]) -> None:
    for route in routes:
        for found in schemas(document, route.operation["responses"]):
            told = {name for name in found["properties"] if re.search("password|hash|digest|secret|subject", name)}
            assert not told, route.name


@pytest.mark.slow
async def test_every_answer_says_what_it_is_and_keeps_nothing_with_the_caller(
    async_client: httpx2.AsyncClient, routes: list[Route], admin: Headers
) -> None:
    for route in routes:
        for headers in ({}, admin):
            response = await async_client.request(route.method, route.url(), headers=headers)
            kind = response.headers["content-type"].partition(";")[0]
            assert kind in {"application/json", "application/problem+json", "application/x-ndjson"}, route.name
            assert response.headers["x-content-type-options"] == "nosniff"
            assert response.headers["cache-control"] == "no-store"
            assert "set-cookie" not in response.headers
            assert not {"server", "x-powered-by", "via"} & response.headers.keys()


@pytest.mark.parametrize(
    "path",
    ["//evil.example/..", "/users/", "/users//me", "/%2e%2e/%2e%2e/etc/passwd", "/.git/config", "/.env", "/static"],
)
async def test_nothing_else_is_served_and_nobody_is_sent_away(async_client: httpx2.AsyncClient, path: str) -> None:
    response = await async_client.get(path, headers={"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil"})
    assert_problem(response, 404)


# Who calls


@pytest.mark.parametrize(
    "name", ["X-Forwarded-For", "X_Forwarded_For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP"]
)
async def test_a_header_gives_no_new_tries(make_client: MakeClient, name: str) -> None:
    body = {"name": "Ada", "email": "nobody", "password": PASSWORD}
    async with make_client(registration_rate="1/hour") as client:
        statuses = [
            (await client.post("/users", json=body, headers={name: f"203.0.113.{number}"})).status_code
            for number in range(3)
        ]
    assert statuses == [422, 429, 429]


@pytest.mark.usefixtures("cheap_passwords")
async def test_an_unknown_address_costs_the_same_work(
    async_client: httpx2.AsyncClient, user_factory: UserFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await user_factory(email="ada@example.com")
    worked: list[str] = []
    verify = PasswordHash.verify

    def counting(self: PasswordHash, password: str, hashed: str) -> bool:
        worked.append(hashed.rpartition("$")[0].rpartition("$")[0])
        return verify(self, password, hashed)

    monkeypatch.setattr(PasswordHash, "verify", counting)
    answers = [
        await async_client.post("/auth/token", data={"username": name, "password": "wrong password"})
        for name in ("ada@example.com", "nobody@example.com")
    ]
    assert len(worked) == 2
    assert assert_problem(answers[0], 401) == assert_problem(answers[1], 401)


@pytest.mark.slow
async def test_two_processes_count_together_where_they_share_a_redis(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each application is a process's; here, what a URL leads to stands for the Redis."""
    storages: dict[str, Any] = {}
    memory = vars(rate_limits)["MemoryStorage"]
    monkeypatch.setattr(rate_limits, "RedisStorage", lambda url, **_: storages.setdefault(url, memory()))
    form = {"username": "ada@example.com", "password": PASSWORD}
    for urls, status in ((["redis://a", "redis://a"], 429), (["redis://b", "redis://c"], 401), ([None, None], 401)):
        answers = []
        for url in urls:
            async with make_client(redis_url=url, login_rate="1/hour") as client:
                answers.append((await client.post("/auth/token", data=form)).status_code)
        assert answers == [401, status], urls


async def test_production_tells_nothing_of_itself(make_client: MakeClient) -> None:
    async with make_client(**PRODUCTION) as client:
        for path in ("/docs", "/redoc", "/openapi.json", "/metrics", "/debug", "/health", "/__debug__/"):
            assert_problem(await client.get(path), 404)
