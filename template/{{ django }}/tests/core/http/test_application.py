"""The application: slices, start, readiness, proxies and shutdown."""

import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.conf import settings as django_settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.test import override_settings
from structlog.testing import capture_logs

from app.core.cli import main as command_line
from app.core.config import Settings
from app.core.http import application, health
from app.core.http.api import all_routes
from app.core.http.middleware import Application, View
from app.core.observability import telemetry
from app.core.problems import Forbidden
from app.core.slices import SliceError
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
    app.state.draining = True
    assert_problem(await async_client.get("/health/ready"), 503)


def test_slice_error_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise SliceError("The slice 'notes' does not load")

    monkeypatch.setattr(application, "create_application", broken)
    with pytest.raises(SystemExit, match="'notes' does not load"):
        application.create_server_application()


def test_serve_runs_the_bridge(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Any] = []
    monkeypatch.setattr("gc.freeze", lambda: served.append("frozen"))
    monkeypatch.setattr("uvicorn.Server.run", lambda self, **_: served.append(self))
    with override_settings(CORE_SETTINGS=django_settings.CORE_SETTINGS.model_copy(update={"port": 0})):
        command_line.main(["serve"])
    [frozen, running] = served
    assert frozen == "frozen"
    running.handle_exit(signal.SIGTERM, None)
    assert running.config.app.state.draining
    assert running.should_exit


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
    assert ended.stderr == 'DATABASE_URL is invalid: invalid URI query parameter: "patience"\n'


async def test_readiness_burst_asks_the_database_once(
    async_client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr("app.core.database.checks.check", lambda: asked.append(True))
    answers = [await async_client.get("/health/ready") for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}
    assert asked == [True]
