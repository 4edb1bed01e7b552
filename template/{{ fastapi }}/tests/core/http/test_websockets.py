"""WebSockets of slices: access and errors."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from app.core.config import Settings
from app.core.http.state import state_of
from app.core.observability import telemetry
from app.core.observability.logs import RequestLog
from app.core.testing import SignIn, UserFactory
from app.main import create_app

ROUTES = """
from fastapi import APIRouter, HTTPException, WebSocket

from app.core import LoggedIn, NotFound, PathId, ReadOnly, User

router = APIRouter()
public = APIRouter()


@router.websocket("/newcomer/users/{user_id}")
async def name_of(socket: WebSocket, user_id: PathId, user: LoggedIn, session: ReadOnly) -> None:
    found = await session.get(User, user_id)
    if found is None:
        raise NotFound("No such user.")
    await socket.accept()
    await socket.send_text(f"{user.id} {found.name}")


@public.websocket("/newcomer/{how}")
async def open_to_all(socket: WebSocket, how: str) -> None:
    if how == "refused":
        raise HTTPException(403, "Not you.")
    await socket.accept()
    if how == "closed":
        raise NotFound("No such channel." + "x" * 200)
    if how == "defect":
        raise RuntimeError("secret of the server")
    await socket.send_text(await socket.receive_text())
    await socket.receive_text()
"""

Connect = Callable[..., Awaitable[list[dict[str, Any]]]]


@pytest.fixture
def planted(newcomer: Path, settings: Settings, app: FastAPI) -> FastAPI:
    """An application with the routes above, which uses the database connection of the test."""
    (newcomer / "routes.py").write_text(ROUTES)
    planted = create_app(settings.model_copy(update={"allowed_hosts": ("test",), "environment": "production"}))
    state_of(planted).database = state_of(app).database
    return planted


@pytest.fixture
def connect(planted: FastAPI) -> Connect:
    """Connect, send a text and disconnect; return the messages of the application."""

    async def connect(path: str, *, host: str = "test", **headers: str) -> list[dict[str, Any]]:
        received: list[dict[str, Any]] = [
            {"type": "websocket.connect"},
            {"type": "websocket.receive", "text": "hello"},
            {"type": "websocket.disconnect", "code": 1001},
        ]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return received.pop(0)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "websocket",
            "path": f"/api/v1/newcomer/{path}",
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in ({"Host": host} | headers).items()],
            "extensions": {"websocket.http.response": {}},
        }
        await planted(scope, receive, send)  # type: ignore[arg-type]
        return sent

    return connect


async def test_public_websocket_is_served_and_logged(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[Any] = []
    monkeypatch.setattr(RequestLog, "end", lambda _, *line: lines.append(line[:4]))
    accepted, text = await connect("echo")
    assert (accepted["type"], text["text"]) == ("websocket.accept", "hello")
    assert lines == [("WEBSOCKET", "/api/v1/newcomer/echo", "/api/v1/newcomer/{how}", 101)]


async def test_websocket_knows_its_user(connect: Connect, user_factory: UserFactory, sign_in: SignIn) -> None:
    user = await user_factory(name="Ada")
    _accepted, text, *_ = await connect(f"users/{user.id}", **sign_in(user))
    assert text["text"] == f"{user.id} Ada"


@pytest.mark.parametrize("token", [None, "Bearer x", "Basic x"])
async def test_websocket_without_a_token_is_401(connect: Connect, token: str | None) -> None:
    started, body = await connect("users/1", **({"Authorization": token} if token else {}))
    assert (started["status"], dict(started["headers"])[b"www-authenticate"]) == (401, b"Bearer")
    assert body["body"].startswith(b"{")


async def test_problem_before_accept_is_http_response(
    connect: Connect, user_factory: UserFactory, sign_in: SignIn
) -> None:
    headers = sign_in(await user_factory())
    started, body = await connect("users/999999999", **headers)
    assert started["status"] == 404
    assert b"No such user." in body["body"]
    assert dict(started["headers"])[b"x-frame-options"] == b"DENY"
    assert (await connect("users/zero", **headers))[0]["status"] == 422
    assert (await connect("refused"))[0]["status"] == 403


async def test_problem_after_accept_closes_websocket(connect: Connect) -> None:
    _accepted, closed = await connect("closed")
    assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
    assert closed["reason"].startswith("No such channel.")
    assert len(closed["reason"].encode()) == 123


async def test_unexpected_error_closes_websocket_with_1011(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[BaseException] = []
    monkeypatch.setattr(telemetry, "report", reported.append)
    _accepted, closed = await connect("defect")
    assert (closed["code"], closed.get("reason")) == (1011, None)
    assert [str(error) for error in reported] == ["secret of the server"]


async def test_unknown_host_is_400(connect: Connect) -> None:
    started, _body = await connect("echo", host="evil.example")
    assert started["status"] == 400
