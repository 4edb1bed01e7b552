"""What the fixtures give, and what the tests agree on, whatever framework they test."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import httpx2

from app.core.config import Environment
from app.core.slices import find_parts

PASSWORD = "correct horse battery staple"
"""Everybody's, where a test does not choose one."""

Execute = Callable[[str], list[Any]]
"""Runs a statement on the server, outside of the tests' databases, and returns the first column of what it says."""

Use = Callable[..., AbstractContextManager[str]]
"""Points this process at a database, by the parts of its URL that differ from the server's: `use(path="/other")`."""

Headers = dict[str, str]

UserFactory = Callable[..., Awaitable[Any]]
"""Makes a user: `await user_factory(name="Ada")`."""

SignIn = Callable[[Any], Headers]
"""The headers of a request by a user."""


class Accounts(Protocol):
    """The service functions of accounts, each in a transaction of its own."""

    async def deactivate(self, user: Any, /) -> None: ...
    async def activate(self, user: Any, /) -> None: ...
    async def erase(self, user: Any, /) -> None: ...
    async def export(self, user: Any, /) -> dict[str, Any]: ...
    async def set_password(self, user: Any, password: str, /) -> None: ...
    async def give_role(self, user: Any, role: str, /) -> None: ...


class Listen(Protocol):
    """Calls a function with the user of each event of this name, as a listener of the slice `of` would be called."""

    def __call__(self, event: str, function: Callable[[Any], Any], *, of: str = "newcomer") -> None: ...


Rows = Callable[[str], Awaitable[list[dict[str, Any]]]]
"""Runs a statement on the test's connection, and returns the rows."""

MakeClient = Callable[..., httpx2.AsyncClient]
"""A client of an application with other settings: `make_client(environment="production")`."""

PRODUCTION = {
    "environment": "production",
    "secret_key": "Zm9yIHRoZSB0ZXN0cywgYW5kIG9ubHkgZm9yIHRoZW0",
    "allowed_hosts": "test",
}
"""Core's settings that production starts with."""


def production_environment() -> dict[str, str]:
    """The environment that production starts with: what core and the slices require."""
    required = dict(PRODUCTION)
    for found in find_parts():
        if settings := found.attribute("settings", "Settings", type(Environment)):
            for name, field in settings.model_fields.items():
                if "required in production" in (field.description or ""):
                    required[name] = field.examples[0] if field.examples else PRODUCTION["secret_key"]
    return {name.upper(): value for name, value in required.items()}


IDENTITY_PROVIDER = {"jwt_issuer": "https://id.example", "jwt_audience": "api"}
"""Settings that leave the accounts to an identity provider."""


def assert_problem(response: httpx2.Response, status: int) -> dict[str, Any]:
    """The problem document of `response`, which must be one with this status."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert {"type", "title", "detail", "instance"} <= problem.keys()
    return problem


def pointers(response: httpx2.Response) -> set[str]:
    """What a 422 complains of."""
    return {error["pointer"] for error in assert_problem(response, 422)["errors"]}
