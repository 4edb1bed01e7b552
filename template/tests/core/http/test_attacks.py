"""Attacks on every route of the service, including routes of future slices."""

import gzip
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from pwdlib import PasswordHash

from app.core.accounts.auth.roles import scopes_of
from app.core.http.limits import rates as rate_limits
from app.core.security.tokens import LocalTokens
from app.core.testing import PASSWORD, PRODUCTION, Headers, MakeClient, UserFactory, assert_problem
from tests.core.http.api import JSON, MULTIPART, Place, Route, declarations, error_type, schemas

Everything = Callable[[Any], Headers]

MARK = "zq7919"
"""Start of every hostile string. SQL statements contain MARK only if input was inserted into the statement."""
PRODUCT = ("7919*7907", "62615533")
"""An expression and its result. The result in a response proves that the service evaluated the input."""
INJECTIONS = [
    "'",
    '"',
    "\\",
    "' OR '1'='1",
    "1; DROP TABLE users --",
    "${" + PRODUCT[0] + "}",
    "{" * 2 + PRODUCT[0] + "}" * 2,
    "../../etc/passwd",
    "%",
    "\x00",
]
PUBLIC = {line.route for line in declarations() if line.table == "public"}


@pytest.fixture
def everything(settings: Any) -> Everything:
    """Return headers with a token of the user that has every scope of access.toml and of the roles."""
    scopes = {line.table for line in declarations()} | scopes_of([], admin=True)
    return lambda user: {"Authorization": f"Bearer {LocalTokens(settings).issue(str(user.id), scopes)}"}


def texts(value: Any, place: Place = ()) -> Iterator[Place]:
    """Yield the place of each string and number in the values of a request."""
    match value:
        case dict():
            for name, part in value.items():
                yield from texts(part, (*place, name))
        case list():
            for number, part in enumerate(value):
                yield from texts(part, (*place, number))
        case str() | int() | float():
            yield place


def replaced(value: Any, place: Place, text: str) -> Any:
    if not place:
        return text
    copy = value.copy()
    copy[place[0]] = replaced(value[place[0]], place[1:], text)
    return copy


OAUTH = {"/api/v1/auth/token", "/api/v1/auth/revoke"}


def is_whole(response: httpx2.Response) -> bool:
    """Return whether the body is valid JSON, if the media type is JSON."""
    kind = response.headers.get("content-type", "").partition(";")[0]
    if response.content and kind.endswith(("/json", "+json")):
        try:
            response.json()
        except ValueError:
            return False
    return True


OWN_DATA = {"subject"}
"""Fields that only the export of the caller's own data shows."""


def names_a_secret(name: str, owner: str) -> bool:
    words = set(re.findall("[a-z]+|[A-Z][a-z]*", name))
    secrets = {"password", "secret", "hash", "digest"} | ({"subject"} if owner == "core" else set())
    return not secrets.isdisjoint(word.lower() for word in words)


class TestRequests:
    @pytest.mark.slow
    async def test_undeclared_method_is_405(
        self, async_client: httpx2.AsyncClient, routes: list[Route], served: dict[str, str]
    ) -> None:
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "CONNECT", "X-EVIL"]
        override = {"X-HTTP-Method-Override": "DELETE", "X-Method-Override": "DELETE"}
        for route in {route.path: route for route in routes}.values():
            url = route.url()
            # Another route may match the same URL, such as /users/{user_id} and /users/me.
            known = {
                method
                for method, path in (name.split(" ", 1) for name in served)
                if re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), url)
            }
            for method in (method for method in methods if method not in known):
                for headers in ({}, override):
                    response = await async_client.request(method, url, headers=headers)
                    assert response.status_code == 405, (
                        f"{method} {route.path} (src/app/{route.owner}) answers {response.status_code}, "
                        f"though only {', '.join(sorted(known))} is served there."
                    )
                    assert_problem(response, 405)

    @pytest.mark.slow
    async def test_head_answers_like_get(
        self, async_client: httpx2.AsyncClient, routes: list[Route], user_factory: UserFactory, everything: Everything
    ) -> None:
        headers = everything(await user_factory(is_superuser=True))
        for route in (route for route in routes if route.method == "GET" and route.ends):
            before, got = await route.send(async_client, headers), await route.send(async_client, headers)
            names = ["content-type", "cache-control"]
            if before.content == got.content:  # a body with a new token, for example, may have another length
                names += ["content-length", "etag"]
            head = await route._replace(method="HEAD").send(async_client, headers)
            assert (head.status_code, head.content) == (got.status_code, b""), route.where
            assert [head.headers.get(name) for name in names] == [got.headers.get(name) for name in names], route.where

    async def test_request_schemas_forbid_extra_fields(self, document: dict[str, Any], routes: list[Route]) -> None:
        """Exempt are multipart forms, which frameworks read field by field, and the OAuth endpoints (RFC 6749, 3.2)."""
        for route in (route for route in routes if route.path not in OAUTH):
            content = route.operation.get("requestBody", {}).get("content", {})
            for body in schemas(document, {kind: content[kind] for kind in content if kind != MULTIPART}):
                assert body.get("additionalProperties") is False, (
                    f"{route.where} accepts fields that {body.get('title')} does not declare: "
                    "derive the schema from BaseSchema (app.core), and use one schema for the whole body."
                )

    async def test_registration_refuses_extra_fields(self, async_client: httpx2.AsyncClient) -> None:
        ada = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
        for name in (
            "is_admin",
            "isAdmin",
            "is_superuser",
            "is_active",
            "id",
            "last_login",
            "subject",
            "scope",
            "created_at",
            "__class__",
        ):
            assert_problem(await async_client.post("/api/v1/users", json=ada | {name: True}), 422)
        assert (await async_client.post("/api/v1/users", json=ada)).json()["is_admin"] is False

    async def test_body_fields_in_query_or_cookie_are_ignored(self, async_client: httpx2.AsyncClient) -> None:
        ada = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
        for body in ({}, {"name": "Ada"}):
            assert_problem(
                await async_client.post("/api/v1/users", params=ada, json=body, headers={"Cookie": "name=Ada"}), 422
            )

    async def test_undeclared_media_type_is_415(
        self, async_client: httpx2.AsyncClient, routes: list[Route], user_factory: UserFactory, everything: Everything
    ) -> None:
        headers = everything(await user_factory(is_superuser=True))
        for route in routes:
            accepted = route.operation.get("requestBody", {}).get("content", {})
            for kind in ("text/plain", "application/xml", "multipart/form-data; boundary=x", "text/html"):
                if JSON in accepted and kind.partition(";")[0] not in accepted:
                    sent = headers | {"Content-Type": kind}
                    response = await async_client.request(route.method, route.url(), content=b"{}", headers=sent)
                    if response.status_code != 401:  # a public route may have its own check, such as a signature
                        assert response.status_code == 415, f"{route.where} reads a body of {kind} as JSON."
                        assert_problem(response, 415)

    async def test_json_patch_is_415(
        self, async_client: httpx2.AsyncClient, routes: list[Route], user_factory: UserFactory, everything: Everything
    ) -> None:
        """A PATCH body is a merge patch: a list of operations (RFC 6902) would be misread."""
        headers = everything(await user_factory(is_superuser=True))
        for route in (route for route in routes if route.method == "PATCH"):
            for kind in ("application/json-patch+json", "application/vnd.example+json"):
                sent = headers | {"Content-Type": kind}
                response = await async_client.patch(route.url(), content=b"{}", headers=sent)
                assert response.status_code == 415, f"{route.where} reads {kind} as a merge patch."

    @pytest.mark.parametrize(
        "body",
        [
            b'{"name": ' + b"9" * 5000 + b"}",
            b'{"name": 1e999}',
            b'{"name": NaN}',
            b'{"name": "\\ud800"}',
            b"[" * 60_000,
            b'{"a":' * 12_000,
            gzip.compress(b"{}"),
            b"\xef\xbb\xbf{}",
            b"\x00",
        ],
        ids=[
            "digits",
            "infinite",
            "NaN",
            "surrogate",
            "deep list",
            "deep object",
            "compressed",
            "byte order mark",
            "NUL",
        ],
    )
    async def test_hostile_body_is_4xx(self, async_client: httpx2.AsyncClient, body: bytes) -> None:
        for headers in ({"Content-Type": JSON}, {"Content-Type": JSON, "Content-Encoding": "gzip"}):
            response = await async_client.post("/api/v1/users", content=body, headers=headers)
            assert response.status_code in {400, 422}
            assert_problem(response, response.status_code)

    @pytest.mark.slow
    async def test_every_route_accepts_its_documented_example(
        self,
        unlimited_client: httpx2.AsyncClient,
        routes: list[Route],
        user_factory: UserFactory,
        everything: Everything,
        statements: list[str],
    ) -> None:
        """Otherwise the attacks below are refused before they reach the database."""
        async with unlimited_client as client:
            for route in (route for route in routes if route.ends):
                headers = everything(await user_factory(is_superuser=True))
                statements.clear()
                response = await route.send(client, headers)
                assert response.status_code != 422 or statements, (
                    f"{route.where} refuses what its document allows, so no attack on it is tested. Name accepted "
                    f"values, as in Field(examples=[...]): {response.text}"
                )

    @pytest.mark.slow
    async def test_injection_strings_are_inert(
        self,
        unlimited_client: httpx2.AsyncClient,
        routes: list[Route],
        user_factory: UserFactory,
        everything: Everything,
        statements: list[str],
    ) -> None:
        """Replace one value at a time: the other values stay valid, so that the request reaches the database.

        `statements` excludes bound parameters, so MARK in a statement proves an injection.
        """
        async with unlimited_client as client:
            for route in (route for route in routes if route.ends):
                headers = everything(await user_factory(is_superuser=True))
                example = route.example()
                for place, value in itertools.product(texts(example), INJECTIONS):
                    if place[0] in {"header", "cookie"} and not value.isprintable():
                        continue  # HTTP clients cannot send such a header
                    statements.clear()
                    response = await route.send(client, headers, replaced(example, place, MARK + value))
                    said = f"{route.where} with {MARK + value!r} as {'/'.join(map(str, place))}"
                    assert response.status_code < 500, (
                        f"{said} answers {response.status_code}: the log below has the error. For text that PostgreSQL "
                        "cannot store, use a type that refuses it, such as ShortText (app.core), also in paths."
                    )
                    assert PRODUCT[1] not in response.text, f"{said}: the service evaluated the text as a template."
                    assert is_whole(response), f"{said} answers with invalid JSON: encode it with a library."
                    found = [sql for sql in statements if MARK in sql]
                    assert not found, (
                        f"{said}: the text is part of a statement; pass the text as a parameter: {found[0]}"
                    )

    @pytest.mark.parametrize(
        "path",
        [
            "//evil.example/..",
            "/api/v1/users/",
            "/api/v1/users//me",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/.git/config",
            "/.env",
            "/static",
        ],
    )
    async def test_unknown_path_is_404_without_redirect(self, async_client: httpx2.AsyncClient, path: str) -> None:
        response = await async_client.get(path, headers={"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil"})
        assert_problem(response, 404)

    async def test_production_has_no_docs_or_debug_routes(self, make_client: MakeClient) -> None:
        async with make_client(**PRODUCTION) as client:
            for path in ("/docs", "/redoc", "/openapi.json", "/metrics", "/debug", "/health", "/__debug__/"):
                assert_problem(await client.get(path), 404)


class TestResponses:
    async def test_response_schemas_have_no_secret_fields(self, document: dict[str, Any], routes: list[Route]) -> None:
        for route in routes:
            for found in schemas(document, route.operation["responses"]):
                shown = OWN_DATA if route.path == "/api/v1/users/me/export" else set()
                secrets = [
                    name for name in found["properties"] if names_a_secret(name, route.owner) and name not in shown
                ]
                assert not secrets, (
                    f"{route.where} answers with {', '.join(secrets)} of {found.get('title')}: remove that field."
                )

    @pytest.mark.parametrize(
        ("name", "owner", "secret"),
        [
            ("password_hash", "notes", True),
            ("passwordHash", "notes", True),
            ("digest", "notes", True),
            ("hashtag", "notes", False),
            ("subject", "notes", False),
            ("subject", "core", True),
        ],
    )
    def test_secret_field_names_are_recognized(self, name: str, owner: str, *, secret: bool) -> None:
        assert names_a_secret(name, owner) is secret

    @pytest.mark.slow
    async def test_responses_are_typed_and_not_cached(
        self, async_client: httpx2.AsyncClient, routes: list[Route], user_factory: UserFactory, everything: Everything
    ) -> None:
        for route in (route for route in routes if route.ends):
            for headers in ({}, everything(await user_factory(is_superuser=True))):
                response = await route.send(async_client, headers)
                status = response.status_code
                kind = response.headers.get("content-type", "").partition(";")[0]
                documented = route.media_types.get(str(status), set())
                # The document need not name each error.
                if response.content and (status < 400 or kind != error_type(route.document)):
                    line: dict[int, Any] = {status: {"content": {kind: {}}}}
                    assert kind in documented, (
                        f"{route.where} answers {status} with {kind or 'no media type'}, its document says "
                        f"{', '.join(sorted(documented)) or 'nothing'}: in its routes.py, declare {line} in the "
                        "`responses` or `openapi_extra` of the route."
                    )
                assert response.headers["x-content-type-options"] == "nosniff"
                cached = response.headers["cache-control"]
                if route.name not in PUBLIC or status >= 400:
                    assert "no-store" in cached or "private" in cached, (
                        f"{route.where} lets proxies cache a response for one caller ({cached}): "
                        "omit Cache-Control, or start its value with private."
                    )
                if route.name not in PUBLIC or route.owner == "core":
                    assert "set-cookie" not in response.headers, (
                        f"{route.where} sets a cookie, but the API reads no cookies: set cookies only in your pages."
                    )
                assert not {"server", "x-powered-by", "via"} & response.headers.keys(), route.where


class TestCallers:
    @pytest.mark.parametrize(
        "name", ["X-Forwarded-For", "X_Forwarded_For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP"]
    )
    async def test_forged_client_address_keeps_rate_limit(self, make_client: MakeClient, name: str) -> None:
        body = {"name": "Ada", "email": "invalid", "password": PASSWORD}
        async with make_client(registration_rate="1/hour") as client:
            statuses = [
                (await client.post("/api/v1/users", json=body, headers={name: f"203.0.113.{number}"})).status_code
                for number in range(3)
            ]
        assert statuses == [422, 429, 429]

    @pytest.mark.usefixtures("cheap_passwords")
    async def test_unknown_address_hashes_like_known_address(
        self, async_client: httpx2.AsyncClient, user_factory: UserFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await user_factory(email="ada@example.com")
        worked: list[str] = []
        verify = PasswordHash.verify

        def counting(self: PasswordHash, password: str, hashed: str) -> bool:
            worked.append(hashed.rpartition("$")[0].rpartition("$")[0])
            return verify(self, password, hashed)

        monkeypatch.setattr(PasswordHash, "verify", counting)
        answers = [
            await async_client.post(
                "/api/v1/auth/token", data={"grant_type": "password", "username": name, "password": "wrong password"}
            )
            for name in ("ada@example.com", "unknown@example.com")
        ]
        assert len(worked) == 2
        assert assert_problem(answers[0], 400) == assert_problem(answers[1], 400)

    @pytest.mark.slow
    async def test_rate_limits_are_shared_through_redis(
        self, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each application simulates a process; one memory storage per URL simulates Redis."""
        storages: dict[str, Any] = {}
        memory = vars(rate_limits)["MemoryStorage"]
        monkeypatch.setattr(rate_limits, "RedisStorage", lambda url, **_: storages.setdefault(url, memory()))
        form = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD}
        for urls, status in ((["redis://a", "redis://a"], 429), (["redis://b", "redis://c"], 400), ([None, None], 400)):
            answers = []
            for url in urls:
                async with make_client(redis_url=url, login_rate="1/hour") as client:
                    answers.append((await client.post("/api/v1/auth/token", data=form)).status_code)
            assert answers == [400, status], urls
