"""Public routes and required scopes match the `access.toml` beside the tests of each slice."""

import asyncio
from collections.abc import Container
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.core.security.tokens import LocalTokens
from app.core.testing import Headers, SignIn, UserFactory, assert_problem
from tests.core.http.api import Declared, Route, declarations

DECLARED = declarations()
SCOPES = sorted({declared.table for declared in DECLARED} - {"public"})
PUBLIC = {declared.route for declared in DECLARED if declared.table == "public"}


def undeclared(found: dict[str, str], table: str, reason: str) -> list[str]:
    """Return a message for each route of `found` that is not declared in `table`. `found` maps routes to slices."""
    lines = {line.route for line in DECLARED if line.table == table}
    return [
        f"{route} {reason}. If that is meant, add to tests/{owner}/access.toml, under [{table}]: "
        f'"{route}" = "the reason".'
        for route, owner in sorted(found.items())
        if route not in lines
    ]


def outdated(table: str, found: Container[str], reason: str) -> list[str]:
    """Return a message for each line of `table` that declares a route which is not in `found`."""
    return [
        f'{line.file}: take the line "{line.route}" out of [{table}]: {reason}.'
        for line in DECLARED
        if line.table == table and line.route not in found
    ]


@pytest.mark.slow
async def test_only_declared_routes_are_public(
    async_client: httpx2.AsyncClient, routes: list[Route], served: dict[str, str]
) -> None:
    documented = {route.name: route for route in routes}
    is_open: dict[str, str] = {}
    shadowed: list[str] = []
    for name, owner in served.items():
        method, path = name.split(" ", 1)
        route = documented.get(name) or Route(method, path, owner, {"responses": {}}, {})
        # An event stream never ends: check only its `security` in the OpenAPI document.
        if route.ends:
            response = await route.response(async_client.request(method, route.url()))
            if response.status_code == 405:
                shadowed.append(
                    f"{route.where} is never called: a route before it matches its path. Choose another path."
                )
                continue
            refused = response.status_code == 401
            if refused and (name not in documented or route.asks_for_a_token):
                assert_problem(response, 401)
                assert "www-authenticate" in response.headers, (
                    f"{route.where}: a 401 needs WWW-Authenticate (RFC 9110)."
                )
                continue
        elif route.asks_for_a_token:
            continue
        is_open[name] = owner
    failures = shadowed + undeclared(is_open, "public", "answers without a token")
    failures += outdated("public", is_open, "the route needs a token, or does not exist")
    assert not failures, "\n".join(failures)


@pytest.mark.slow
async def test_only_declared_routes_need_a_scope(
    async_client: httpx2.AsyncClient,
    routes: list[Route],
    user_factory: UserFactory,
    sign_in: SignIn,
    settings: Any,
) -> None:
    """A user without scopes and a token with all other scopes get 403; a token with the declared scope does not."""
    by_scope = {scope: {line.route for line in DECLARED if line.table == scope} for scope in SCOPES}
    refused: dict[str, str] = {}
    failures = []
    for route in (route for route in routes if route.name not in PUBLIC and route.ends):
        user = await user_factory()  # one user per route: a route may delete its user
        if (await route.send(async_client, sign_in(user))).status_code == 403:
            refused[route.name] = route.owner
        for scope in (scope for scope in SCOPES if route.name in by_scope[scope]):
            others = {"read", f"{scope}2", scope.title(), "superuser", *SCOPES} - {scope}
            for scopes, allowed in ((others, False), ({scope}, True)):
                token = LocalTokens(settings).issue(str(user.id), scopes)
                response = await route.send(async_client, {"Authorization": f"Bearer {token}"})
                if (response.status_code == 403) is allowed:
                    does = "refuses a token with" if allowed else "accepts a token without"
                    failures.append(f"{route.where} {does} the scope {scope!r}, which its access.toml declares.")
    scoped = set().union(*by_scope.values())
    found = {name: owner for name, owner in refused.items() if name not in scoped}
    failures += undeclared(found, "admin", "answers 403 to a user without scopes")
    for scope in SCOPES:
        failures += outdated(scope, {route.name for route in routes}, "the OpenAPI document has no such route")
    assert not failures, "\n".join(failures)


def test_failure_names_file_and_line(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Declared("tests/core/access.toml", "public", "GET /api/v1/a")
    monkeypatch.setattr("tests.core.http.test_access.DECLARED", [line])
    assert undeclared({"GET /api/v1/a": "core", "GET /api/v1/b": "notes"}, "public", "answers without a token") == [
        (
            "GET /api/v1/b answers without a token. If that is meant, "
            'add to tests/notes/access.toml, under [public]: "GET /api/v1/b" = "the reason".'
        )
    ]
    assert outdated("public", {"GET /api/v1/a"}, "it needs a token") == []
    assert outdated("public", {"GET /api/v1/b"}, "it needs a token") == [
        'tests/core/access.toml: take the line "GET /api/v1/a" out of [public]: it needs a token.'
    ]


async def test_endless_response_fails_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.core.http.api.RESPONSE_SECONDS", 0)
    stream = Route("GET", "/api/v1/ticks", "notes", {"responses": {}}, {})
    with pytest.raises(pytest.fail.Exception, match=r"GET /api/v1/ticks \(src/app/notes\) .* text/event-stream"):
        await stream.response(asyncio.sleep(60))  # type: ignore[arg-type]


def test_declarations_are_read_from_every_slice(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/access.toml").write_text('[public]\n"GET /a" = "why"\n[reports]\n"GET /b" = "why"\n')
    assert declarations(tmp_path) == [
        Declared("tests/notes/access.toml", "public", "GET /a"),
        Declared("tests/notes/access.toml", "reports", "GET /b"),
    ]


@pytest.mark.parametrize("where", ["query", "cookie", "basic", "another header"])
async def test_token_outside_bearer_header_is_401(
    async_client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn, where: str
) -> None:
    token = sign_in(await user_factory())["Authorization"].removeprefix("Bearer ")
    query = f"?access_token={token}&token={token}" if where == "query" else ""
    headers: dict[str, Headers] = {
        "query": {},
        "cookie": {"Cookie": f"access_token={token}; session={token}; Authorization=Bearer {token}"},
        "basic": {"Authorization": f"Basic {token}"},
        "another header": {"X-Authorization": f"Bearer {token}", "X-User-ID": "1"},
    }
    assert_problem(await async_client.get(f"/api/v1/users/me{query}", headers=headers[where]), 401)


async def test_no_default_user_exists(async_client: httpx2.AsyncClient, admin: Headers) -> None:
    users = (await async_client.get("/api/v1/users", headers=admin)).json()
    assert [user["email"] for user in users["items"]] == ["admin@example.com"], "only the admin of this test"
