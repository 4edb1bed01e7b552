"""A project may replace problem documents: all errors and the OpenAPI document follow."""

from collections.abc import Callable
from typing import ClassVar, Self

import httpx2
import pytest

from app.core.accounts.service import UserService
from app.core.problems import ErrorBody, Problem
from app.core.testing import assert_problem, pointers

ADA = {"name": "Ada", "email": "ada@example.com", "password": "engine no. 1"}
ORIGIN = "https://front.example"
PREFLIGHT = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}


class Reason(ErrorBody):
    code: int
    message: str


class Errors(ErrorBody):
    """A format as another team may have specified it."""

    media_type: ClassVar[str] = "application/vnd.errors+json"

    errors: list[Reason]

    @classmethod
    def of(cls, problem: Problem) -> Self:
        messages = [found.message for found in problem.errors or ()] or [problem.detail]
        return cls(errors=[Reason(code=problem.status, message=message) for message in messages])


type Formatted = Callable[..., httpx2.AsyncClient]


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/nothing", {}, 404),
        ("GET", "/api/v1/nothing", {}, 404),
        ("DELETE", "/api/v1/users", {}, 405),
        ("GET", "/api/v1/users", {}, 401),
        ("POST", "/api/v1/users", {"json": {}}, 422),
        ("POST", "/api/v1/users", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 422),
        ("POST", "/api/v1/users", {"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415),
        ("POST", "/api/v1/users", {"json": {"name": "x" * 2048}}, 413),
        ("POST", "/api/v1/auth/token", {"data": {"grant_type": "refresh_token", "refresh_token": "x"}}, 400),
        ("GET", "/nothing", {"headers": {"Host": "evil.example"}}, 400),
        ("OPTIONS", "/api/v1/users", {"headers": PREFLIGHT}, 403),
    ],
)
async def test_every_error_has_the_format_of_the_project(
    formatted_client: Formatted, method: str, path: str, options: dict[str, object], status: int
) -> None:
    async with formatted_client(Errors, max_json_bytes=1024, allowed_origins=ORIGIN) as client:
        response = await client.request(method, path, **options)  # type: ignore[arg-type]
    assert response.headers["content-type"] == Errors.media_type
    assert Errors.model_validate_json(response.content).errors[0].code == status
    assert assert_problem(response, status)["status"] == status


async def test_errors_of_handlers_have_the_format(
    formatted_client: Formatted, monkeypatch: pytest.MonkeyPatch, http_error: Callable[..., Exception]
) -> None:
    raised: list[Exception] = [http_error(404, "No such widget 7."), RuntimeError("a defect")]

    def fail(*_: object) -> None:
        raise raised.pop(0)

    monkeypatch.setattr(UserService, "create", fail)
    async with formatted_client(Errors) as client:
        answers = [await client.post("/api/v1/users", json=ADA) for _ in "12"]
    assert answers[0].json() == {"errors": [{"code": 404, "message": "No such widget 7."}]}
    assert answers[1].json()["errors"][0]["code"] == 500
    assert "defect" not in answers[1].text


async def test_rate_limit_error_has_the_format(formatted_client: Formatted) -> None:
    async with formatted_client(Errors, registration_rate="1/hour") as client:
        await client.post("/api/v1/users", json={})
        response = await client.post("/api/v1/users", json={})
    assert response.json()["errors"][0]["code"] == 429
    assert int(response.headers["retry-after"]) > 0


async def test_pointers_are_found_behind_another_format(formatted_client: Formatted) -> None:
    async with formatted_client(Errors) as client:
        response = await client.post("/api/v1/users", json=ADA | {"name": " "})
    assert pointers(response) == {"/body/name"}


async def test_openapi_describes_the_format(formatted_client: Formatted) -> None:
    async with formatted_client(Errors) as client:
        document = (await client.get("/openapi.json")).json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    errors = [
        response["content"]
        for operation in operations
        for status, response in operation["responses"].items()
        if status >= "4"
    ]
    assert len(errors) > len(operations)
    expected = {Errors.media_type: {"schema": {"$ref": "#/components/schemas/Errors"}}}
    assert [content for content in errors if content != expected] == []
    assert {"Errors", "Reason"} <= document["components"]["schemas"].keys()
    assert "Problem" not in document["components"]["schemas"]
