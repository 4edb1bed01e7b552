"""Types and constants of the tests, for both frameworks."""

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import httpx2

from app.core.config import Environment
from app.core.problems import ErrorBody, Problem
from app.core.slices import find_parts

PASSWORD = "correct horse battery staple"
"""Default password of test users."""

Execute = Callable[[str], list[Any]]
"""Runs a statement on the server, outside of the test databases, and returns the first column of the rows."""

Use = Callable[..., AbstractContextManager[str]]
"""Sets DATABASE_URL to the server's URL with changed parts: `use(path="/other")`."""

Headers = dict[str, str]

UserFactory = Callable[..., Awaitable[Any]]
"""Creates a user: `await user_factory(name="Ada")`."""


class SignIn(Protocol):
    """Returns the headers of a request by this user, who has these roles: `sign_in(user, "editor")`."""

    def __call__(self, user: Any, /, *roles: str) -> Headers: ...


class Accounts(Protocol):
    """Functions of the account service. Each call runs in its own transaction."""

    async def deactivate(self, user: Any, /) -> None: ...
    async def activate(self, user: Any, /) -> None: ...
    async def erase(self, user: Any, /) -> None: ...
    async def export(self, user: Any, /) -> dict[str, Any]: ...
    async def set_password(self, user: Any, password: str, /) -> None: ...
    async def give_role(self, user: Any, role: str, /) -> None: ...


class Listen(Protocol):
    """Makes `function` a listener of the slice `of`: each event of this name calls the function with its user."""

    def __call__(self, event: str, function: Callable[[Any], Any], *, of: str = "newcomer") -> None: ...


Rows = Callable[[str], Awaitable[list[dict[str, Any]]]]
"""Runs a statement on the connection of the test and returns the rows."""

MakeClient = Callable[..., httpx2.AsyncClient]
"""Returns a client of an application with changed settings: `make_client(environment="production")`."""

PRODUCTION = {
    "environment": "production",
    "secret_key": "Zm9yIHRoZSB0ZXN0cywgYW5kIG9ubHkgZm9yIHRoZW0",
    "allowed_hosts": "test",
}
"""Minimal settings of core for production."""


def production_environment() -> dict[str, str]:
    """Return a minimal environment for production: all required settings of core and of the slices."""
    required = dict(PRODUCTION)
    for found in find_parts():
        if settings := found.attribute("settings", "Settings", type(Environment)):
            for name, field in settings.model_fields.items():
                if "required in production" in (field.description or ""):
                    required[name] = field.examples[0] if field.examples else PRODUCTION["secret_key"]
    return {name.upper(): value for name, value in required.items()}


IDENTITY_PROVIDER = {"jwt_issuer": "https://id.example", "jwt_audience": "api"}
"""Settings for accounts of an identity provider."""


ERRORS: deque[tuple[bytes, Problem, type[ErrorBody]]] = deque(maxlen=100)
"""The bodies of the last error responses of this process, and the problems behind them. The tests of core fill it."""


def assert_problem(response: httpx2.Response, status: int) -> dict[str, Any]:
    """Assert that `response` is an error with this status, and return its problem document.

    If the project has an error format of its own, the body must have this format.
    """
    assert response.status_code == status, response.text
    for body, problem, kind in reversed(ERRORS):
        if body == response.content and problem.status == status:
            assert response.headers["content-type"] == kind.media_type
            return problem.model_dump()
    # From another process.
    assert response.headers["content-type"] == Problem.media_type
    found = Problem.model_validate(response.json(), extra="forbid")
    assert found.status == status
    return found.model_dump()


def pointers(response: httpx2.Response) -> set[str]:
    """Assert that `response` is a 422, and return the JSON pointers of its errors."""
    return {error["pointer"] for error in assert_problem(response, 422)["errors"]}
