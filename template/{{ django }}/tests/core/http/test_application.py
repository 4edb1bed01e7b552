"""The application: slices, start, readiness, proxies and shutdown."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from django.conf import settings as django_settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.test import override_settings
from granian.constants import Interfaces
from structlog.testing import capture_logs

from app.core.cli import main as command_line
from app.core.cli import operations
from app.core.config import Settings
from app.core.http import application, health, server
from app.core.http.api import all_routes
from app.core.http.middleware import Application, Proxies, View
from app.core.http.state import State
from app.core.observability import telemetry
from app.core.problems import Forbidden
from app.core.slices import PACKAGE, SliceError
from app.core.testing import MakeClient, assert_problem

ROUTES = """
from ninja import Router

from app.core import maybe_logged_in

router = Router()


@router.get("{path}"{auth})
def probe(request): ...
"""


def test_new_slice_is_served(newcomer: Path) -> None:
    (newcomer / "routes.py").write_text(ROUTES.format(path="/probe", auth=""))
    [operation] = all_routes().path_operations["/api/v1/probe"].operations
    assert operation.auth_callbacks, "the route must require a token"


@pytest.mark.parametrize(
    ("path", "auth", "sentence"),
    [
        ("/users/me", "", "GET /api/v1/users/me is a route of 'core'"),
        ("/probe", ", auth=None", "/api/v1/probe of its `router` must ask for a token"),
        ("/probe", ", auth=maybe_logged_in", "/api/v1/probe of its `router` must ask for a token"),
    ],
)
def test_invalid_slice_route_is_named(newcomer: Path, path: str, auth: str, sentence: str) -> None:
    (newcomer / "routes.py").write_text(ROUTES.format(path=path, auth=auth))
    with pytest.raises(SliceError) as refused:
        all_routes()
    assert str(refused.value) == f"The slice 'newcomer' does not load: {sentence}"


def test_service_starts_while_database_is_down(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable() -> None:
        raise OSError("no answer")

    monkeypatch.setattr("app.core.database.checks.check", unreachable)
    monkeypatch.setattr("app.core.retries.random.uniform", lambda *_: 0)
    nowhere = settings.model_copy(update={"allowed_hosts": (), "environment": "production"})
    with override_settings(CORE_SETTINGS=nowhere), capture_logs() as lines:
        application.start()
    hosts, unavailable = lines[-2:]  # earlier lines report the start
    assert hosts["event"] == "only health probes are answered"
    assert unavailable["event"] == "database unavailable"


def planted(get_response: View) -> View:
    """A middleware that raises an error if a header asks for one."""

    def surround(request: HttpRequest) -> HttpResponseBase:
        if request.headers.get("X-Fail") == "defect":
            raise RuntimeError("secret of the server")
        if request.headers.get("X-Fail") == "problem":
            raise Forbidden("Not from here.")
        return get_response(request)

    return surround


@pytest.mark.parametrize(("fails", "status"), [("defect", 500), ("problem", 403)])
async def test_middleware_error_is_problem_with_headers(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, fails: str, status: int
) -> None:
    reported: list[BaseException] = []
    monkeypatch.setattr(telemetry, "report", reported.append)
    with override_settings(MIDDLEWARE=[*django_settings.MIDDLEWARE, f"{__name__}.planted"]):
        client = make_client()
    async with client:
        response = await client.get("/health/live", headers={"X-Fail": fails, "X-Request-ID": "trace-0123456789"})
    assert "secret" not in assert_problem(response, status)["detail"]
    assert response.headers["x-request-id"] == "trace-0123456789"
    assert response.headers["x-frame-options"] == "DENY"
    assert [type(error) for error in reported] == ([RuntimeError] if fails == "defect" else [])


def test_wsgi_module_has_the_application(database_url: str) -> None:
    assert isinstance(import_module("app.wsgi").application, Application)


@pytest.mark.slow
async def test_readiness_check_has_a_time_limit(
    async_client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CHECK_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr("app.core.database.checks.check", lambda: time.sleep(1))
    started = time.monotonic()
    problem = assert_problem(await async_client.get("/health/ready"), 503)
    assert problem["detail"] == "No answer from: database."
    assert time.monotonic() - started < 0.9


async def test_draining_service_is_not_ready(app: Application, async_client: httpx2.AsyncClient) -> None:
    app.state.draining.set()
    assert_problem(await async_client.get("/health/ready"), 503)


@pytest.mark.parametrize(
    ("trusted", "address", "forwarded", "caller"),
    [
        ("10.0.0.1", "10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.0/8", "10.0.0.1", "203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("10.0.0.1", "10.0.0.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7", "198.51.100.1", "203.0.113.7"),
        ("10.0.0.1", "unknown", "198.51.100.1", "unknown"),
        ("*", "10.0.0.1", "203.0.113.7, 10.0.0.2", "203.0.113.7"),
    ],
)
def test_only_trusted_proxies_set_client_address(trusted: str, address: str, forwarded: str, caller: str) -> None:
    meta = {"REMOTE_ADDR": address, "HTTP_X_FORWARDED_FOR": forwarded, "HTTP_X_FORWARDED_PROTO": "https"}
    Proxies([trusted]).apply(meta)
    assert meta["REMOTE_ADDR"] == caller
    assert ("wsgi.url_scheme" in meta) is (caller != address)


async def test_trusted_proxy_sets_rate_limit_address(make_client: MakeClient) -> None:
    body = {"name": "Ada", "email": "invalid", "password": "engine no. 1"}
    async with make_client(trusted_proxies="127.0.0.1", registration_rate="1/minute") as client:
        for address, status in (("203.0.113.7", 422), ("203.0.113.7", 429), ("203.0.113.8", 422)):
            response = await client.post("/api/v1/users", json=body, headers={"X-Forwarded-For": address})
            assert_problem(response, status)


def test_first_signal_starts_the_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr("os.kill", lambda *arguments: sent.append(arguments))
    watcher = server.GentleServer("app.core.http.application", drain_seconds=300, interface=Interfaces.WSGI)
    watcher.wrks = [SimpleNamespace(is_alive=lambda: True, inner=SimpleNamespace(pid=7))]
    watcher.signal_handler_interrupt()
    assert sent == [(7, signal.SIGUSR1)]
    assert not watcher.interrupt_signal
    watcher.signal_handler_interrupt()
    assert watcher.interrupt_signal, "a second signal must end the drain"
    assert len(sent) == 1, "the worker could miss a second signal so shortly before SIGTERM"


def test_drain_ends_after_drain_seconds() -> None:
    watcher = server.GentleServer("app.core.http.application", drain_seconds=0.01, interface=Interfaces.WSGI)
    watcher.wrks = []
    watcher.signal_handler_interrupt()
    deadline = time.monotonic() + 30
    while not watcher.interrupt_signal and time.monotonic() < deadline:
        time.sleep(0.01)
    assert watcher.interrupt_signal


def test_worker_process_loads_the_application(
    database_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    awaited: list[set[int]] = []
    signalled = threading.Event()

    def sigwait(signals: set[int]) -> None:
        awaited.append(signals)
        signalled.wait()

    monkeypatch.setattr("signal.sigwait", sigwait)
    monkeypatch.setattr(server, "start", lambda: None)
    states: list[State] = []

    def create() -> Application:
        states.append((created := application.create_application()).state)
        return created

    monkeypatch.setattr(server, "create_application", create)
    answered: list[Any] = []
    path = {"REQUEST_METHOD": "GET", "PATH_INFO": "/health/live", "wsgi.input": io.BytesIO()}
    frozen: list[bool] = []
    monkeypatch.setattr("gc.freeze", lambda: frozen.append(True))
    answer = server.load()(path, lambda *start: answered.extend(start))
    assert answer == [b'{"status":"ok","checks":[]}'], "granian sends a list in one piece"
    assert frozen
    assert answered[0] == "200 OK"
    assert ("Server", "") in answered[1], "granian would otherwise send its name"
    [state] = states
    assert not state.draining.is_set()
    signalled.set()
    assert state.draining.wait(timeout=30)
    assert awaited == [{signal.SIGUSR1}]


def test_slice_error_ends_the_worker_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise SliceError("The slice 'notes' does not load")

    monkeypatch.setattr(server, "create_application", broken)
    with pytest.raises(SystemExit, match="'notes' does not load"):
        server.load()


@pytest.mark.parametrize(("command", "reload"), [("serve", False), ("dev", True)])
def test_only_dev_command_reloads(
    database_url: str, monkeypatch: pytest.MonkeyPatch, command: str, *, reload: bool
) -> None:
    served: list[Any] = []
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("SECRET_KEY", "Zm9yIHRoZSB0ZXN0cywgYW5kIG9ubHkgZm9yIHRoZW0")
    monkeypatch.setattr("multiprocessing.set_start_method", served.append)
    monkeypatch.setattr(operations, "migrate", lambda: None)
    monkeypatch.setattr(server.GentleServer, "serve", lambda self, **_: served.append(self))
    command_line.main([command])
    assert served[-1].reload_on_changes is reload
    assert not reload or served[-1].reload_paths == [PACKAGE], "also slices, and their templates"


@pytest.mark.slow
def test_second_migrate_changes_nothing(committed_database: str) -> None:
    command_line.main(["migrate"])


@pytest.mark.slow
@pytest.mark.parametrize("command", ["serve", "migrate", "dev"])
def test_settings_error_is_one_sentence(command: str) -> None:
    environment = os.environ | {"DATABASE_URL": "postgresql://u:hunter2@h/d?patience=10"}
    ended = subprocess.run(
        [sys.executable, "-m", "app", command], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr == 'DATABASE_URL is not usable: invalid URI query parameter: "patience"\n'
