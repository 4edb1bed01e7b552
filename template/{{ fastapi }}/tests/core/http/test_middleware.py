"""Middleware and exception handlers of the user run inside those of core."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import PlainTextResponse
from fastapi.staticfiles import StaticFiles

from app.core.config import Settings
from app.core.observability import telemetry
from app.core.problems import Forbidden
from app.core.testing import assert_problem
from app.main import create_app

ORIGIN = "https://front.example"

Next = Callable[[Request], Awaitable[Response]]


@pytest.fixture
def planted(settings: Settings) -> FastAPI:
    """An application with a middleware that adds a header, or raises an error if a header asks for one."""
    planted = create_app(settings.model_copy(update={"allowed_origins": (ORIGIN,)}))

    @planted.middleware("http")
    async def surround(request: Request, call_next: Next) -> Response:
        if request.headers.get("x-fail") == "defect":
            raise RuntimeError("secret of the server")
        if request.headers.get("x-fail") == "problem":
            raise Forbidden("Not from here.")
        response = await call_next(request)
        response.headers["X-Planted"] = "7"
        return response

    return planted


async def get(app: FastAPI, path: str, **headers: str) -> httpx2.Response:
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test", headers={"Origin": ORIGIN}) as client:
        return await client.get(path, headers=headers)


async def test_user_middleware_adds_a_header(planted: FastAPI) -> None:
    response = await get(planted, "/health/live")
    assert response.headers["x-planted"] == "7"
    assert response.headers["x-frame-options"] == "DENY"


async def test_head_has_headers_of_compressed_get(settings: Settings) -> None:
    app = create_app(settings)
    app.add_middleware(GZipMiddleware, minimum_size=1)
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        asked, read = await client.head("/health/live"), await client.get("/health/live")
    assert (asked.status_code, asked.content) == (200, b"")
    for name in ("content-encoding", "content-length"):
        assert asked.headers[name] == read.headers[name]


@pytest.mark.parametrize("mounts", [["/"], ["/static", "/"]])
async def test_head_answers_like_get_beside_mounts(settings: Settings, tmp_path: Path, mounts: list[str]) -> None:
    """A mount at `/` matches every path and every method."""
    (tmp_path / "page.txt").write_text("page")
    inner = FastAPI(openapi_url=None)
    inner.add_api_route("/made", lambda: "made")
    inner.mount("/files", StaticFiles(directory=tmp_path))
    app = create_app(settings)
    app.mount("/inner", inner)
    for path in mounts:
        app.mount(path, StaticFiles(directory=tmp_path))
    paths = {"/health/live": 200, "/page.txt": 200, "/inner/made": 200, "/inner/files/page.txt": 200, "/nothing": 404}
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        for path, status in paths.items():
            asked, read = await client.head(path), await client.get(path)
            assert (path, asked.status_code, read.status_code, asked.content) == (path, status, status, b"")
            assert asked.headers["content-length"] == read.headers["content-length"]


@pytest.mark.parametrize(("fails", "status"), [("defect", 500), ("problem", 403)])
async def test_middleware_error_is_problem_with_headers(
    planted: FastAPI, monkeypatch: pytest.MonkeyPatch, fails: str, status: int
) -> None:
    reported: list[BaseException] = []
    monkeypatch.setattr(telemetry, "report", reported.append)
    response = await get(planted, "/health/live", **{"X-Fail": fails, "X-Request-ID": "trace-0123456789"})
    assert "secret" not in assert_problem(response, status)["detail"]
    assert response.headers["x-request-id"] == "trace-0123456789"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert [type(error) for error in reported] == ([RuntimeError] if fails == "defect" else [])


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_user_handler_answers_unexpected_errors(
    planted: FastAPI, monkeypatch: pytest.MonkeyPatch, *, asynchronous: bool
) -> None:
    reported: list[BaseException] = []
    monkeypatch.setattr(telemetry, "report", reported.append)

    def answer(request: Request, error: Exception) -> Response:
        return PlainTextResponse(f"{type(error).__name__} at {request.url.path}", 500)

    async def answer_later(request: Request, error: Exception) -> Response:
        return answer(request, error)

    planted.add_exception_handler(Exception, answer_later if asynchronous else answer)
    response = await get(planted, "/health/live", **{"X-Fail": "defect"})
    assert (response.status_code, response.text) == (500, "RuntimeError at /health/live")
    assert response.headers["x-frame-options"] == "DENY"
    assert len(reported) == 1
