"""Every error is a problem document; the errors of the framework keep their status and detail."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from app.core.accounts.service import UserService
from app.core.observability import telemetry
from app.core.problems import PROBLEMS, NotFound, ProblemError, Unavailable, problem_for
from app.core.testing import assert_problem

ADA = {"name": "Ada", "email": "ada@example.com", "password": "engine no. 1"}

Raising = Callable[[Exception], Any]


@pytest.fixture
def raising(async_client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> Raising:
    """Send a request. Its handler raises the given error."""

    async def send(error: Exception) -> httpx2.Response:
        def fail(*_: Any) -> None:
            raise error

        monkeypatch.setattr(UserService, "create", fail)
        return await async_client.post("/api/v1/users", json=ADA)

    return send


@pytest.mark.parametrize(
    ("status", "title"),
    [
        (400, "Bad Request"),
        (404, "Not Found"),
        (418, "I'm a Teapot"),
        (422, "Unprocessable"),
        (499, "Client Error"),
        (599, "Server Error"),
    ],
)
async def test_framework_error_keeps_status_and_detail(
    raising: Raising, http_error: Callable[..., Exception], status: int, title: str
) -> None:
    problem = assert_problem(await raising(http_error(status, "No such widget 7.")), status)
    assert problem["detail"] == "No such widget 7."
    assert problem["title"].startswith(title)


async def test_framework_error_with_cause_keeps_detail(raising: Raising, http_error: Callable[..., Exception]) -> None:
    error = http_error(404, "No such widget 7.")
    error.__cause__ = KeyError(7)
    assert assert_problem(await raising(error), 404)["detail"] == "No such widget 7."


def test_default_phrase_is_replaced_by_problem_detail() -> None:
    assert problem_for(404, "Not Found").detail == NotFound.detail
    assert problem_for(499, "").detail == "Client Error."
    assert problem_for(418, "I'm a Teapot").detail.startswith("Server refuses")


def test_non_string_detail_becomes_data() -> None:
    problem = problem_for(409, {"code": 7, "none": None, "kind": int})
    assert (problem.detail, problem.data) == (
        "The request does not fit the state of the resource.",
        {"code": 7, "none": None, "kind": "<class 'int'>"},
    )


def test_problems_are_indexed_by_status() -> None:
    assert {status: kind.status for status, kind in PROBLEMS.items()} == {status: status for status in PROBLEMS}


async def test_slice_problem_keeps_default_problem(async_client: httpx2.AsyncClient, raising: Raising) -> None:
    class NoSuchTeapot(ProblemError):
        status = 404
        type = "urn:problem-type:no-such-teapot"
        detail = "There is no such teapot."

    assert assert_problem(await raising(NoSuchTeapot()), 404)["detail"] == "There is no such teapot."
    assert assert_problem(await async_client.get("/nothing"), 404)["detail"] == NotFound.detail


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("by a mail server"),
        TimeoutError("of another service"),
        FileNotFoundError("/no/such/file"),
        OSError("no such host"),
    ],
)
async def test_os_error_of_handler_is_500_and_reported(
    raising: Raising, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    reported: list[BaseException] = []
    monkeypatch.setattr(telemetry, "report", reported.append)
    assert_problem(await raising(error), 500)
    assert reported == [error]


async def test_unavailable_is_503(raising: Raising) -> None:
    response = await raising(Unavailable("The other service does not answer."))
    assert assert_problem(response, 503)["detail"] == "The other service does not answer."
    assert response.headers["retry-after"] == "1"
