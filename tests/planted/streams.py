"""Tests that the template plants into a FastAPI service: streams and WebSockets of a slice, on the real server."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
import websockets

from app.core.config import Settings
from app.core.security.tokens import LocalTokens
from app.core.slices import PACKAGE
from app.core.testing import PRODUCTION

ROOT = Path(__file__).parents[3]
SLICE = '''
"""Routes that do not end by themselves."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse

from app.core import LoggedIn

router = APIRouter()
public = APIRouter()


@public.get("/ticks", response_class=EventSourceResponse)
async def ticks() -> AsyncIterator[int]:
    for number in range(1000):
        yield number
        await asyncio.sleep(0.1)


@router.get("/text")
async def text() -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        while True:
            yield "data: 1\\n\\n"
            await asyncio.sleep(0.1)

    return StreamingResponse(lines(), media_type="text/event-stream")


@public.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


@router.websocket("/wait")
async def wait(socket: WebSocket, user: LoggedIn) -> None:
    await socket.accept()
    await socket.send_text(str(user.id))
    await asyncio.Event().wait()
'''
DEADLINE_SECONDS = 120
STOP_SECONDS = 15
"""Far below the 30 seconds that running requests have to finish."""


class Served(NamedTuple):
    """A running service, and the `routes.py` of its slice."""

    command: str
    process: subprocess.Popen[bytes]
    port: int
    routes: Path

    def websocket(self, path: str, **headers: str) -> websockets.connect:
        return websockets.connect(f"ws://127.0.0.1:{self.port}/api/v1{path}", additional_headers=headers)


@pytest.fixture(params=["serve", "dev"])
def served(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    """A copy of the service with a slice more."""
    shutil.copytree(PACKAGE, tmp_path / "src/app")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    routes = tmp_path / "src/app/streams/routes.py"
    routes.parent.mkdir()
    (routes.parent / "__init__.py").touch()
    routes.write_text(SLICE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {
        "DATABASE_URL": database_url,
        "PYTHONPATH": str(tmp_path / "src"),
        "PORT": str(port),
        "SECRET_KEY": PRODUCTION["secret_key"],
    }
    run = (sys.executable, "-m", "app", request.param)
    process = subprocess.Popen(run, cwd=tmp_path, env=os.environ | variables, start_new_session=True)
    wait_until_ready(port)
    yield Served(request.param, process, port, routes)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_until_ready(port: int) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200:
                return
        time.sleep(0.1)
    pytest.fail("The service is not ready.")


async def read(stream: AsyncIterator[str]) -> None:
    async for _ in stream:
        pass


async def test_streams_are_served_and_delay_neither_reload_nor_shutdown(served: Served) -> None:
    reloads = served.command == "dev"
    token = LocalTokens(Settings.model_validate({"secret_key": PRODUCTION["secret_key"]})).issue("7", ())
    headers = {"Authorization": f"Bearer {token}"}
    with pytest.raises(websockets.InvalidStatus, match="401"):
        await served.websocket("/wait")
    async with (
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{served.port}/api/v1", timeout=DEADLINE_SECONDS) as client,
        client.stream("GET", "/ticks") as ticks,
        client.stream("GET", "/text", headers=headers) as text,
        served.websocket("/echo") as echo,
        served.websocket("/wait", **headers) as waiting,
    ):
        assert (await client.get("/text")).status_code == 401
        await echo.send("hello")
        assert (await echo.recv(), await waiting.recv()) == ("hello", "7")
        streams = [ticks.aiter_lines(), text.aiter_lines()]
        assert [await anext(stream) for stream in streams] == ["data: 0", "data: 1"]

        started = time.monotonic()
        if reloads:
            served.routes.write_text(f"{SLICE}\nCHANGED = 1\n")
        else:
            served.process.send_signal(signal.SIGTERM)
        for stream in streams:
            with pytest.raises(httpx2.RemoteProtocolError):
                await read(stream)
        with pytest.raises(websockets.ConnectionClosedError, match="1012"):
            await waiting.recv()
    if reloads:
        await asyncio.to_thread(wait_until_ready, served.port)
        started = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(served.process.wait, DEADLINE_SECONDS)
    assert time.monotonic() - started < STOP_SECONDS
