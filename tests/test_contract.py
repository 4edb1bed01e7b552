"""Installed renders, served with the command of their README and called over HTTP."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import IO, Any

import httpx2
import pytest
from conftest import PRODUCTION, TOOLS, Project, once
from questionnaire import PROFILES, REPOSITORY, engines

pytestmark = pytest.mark.deep

GENERATOR = "openapi-python-client==0.29.1"
AUTHLIB_NEEDS = ("authlib==1.9.10", "requests==2.34.2")
CLIENT_NEEDS = ("attrs==26.1.0", "httpx==0.28.1")
PASSWORD = "correct horse battery staple"  # noqa: S105 -- users exist only during this test
DEADLINE = 180.0


@dataclass(frozen=True)
class Live:
    """A running service and a client."""

    project: Project
    process: subprocess.Popen[bytes]
    client: httpx2.Client
    output: IO[str]

    def register(self, name: str) -> dict[str, Any]:
        body = {"name": name, "email": f"{name}@example.com", "password": PASSWORD}
        response = self.client.post("/api/v1/users", json=body)
        assert response.status_code == 201, response.text
        user: dict[str, Any] = response.json()
        assert response.headers["location"] == f"/api/v1/users/{user['id']}"
        return user

    def log_in(self, name: str) -> dict[str, Any]:
        form = {"grant_type": "password", "username": f"{name}@example.com", "password": PASSWORD}
        response = self.client.post("/api/v1/auth/token", data=form)
        assert response.status_code == 200, response.text
        tokens: dict[str, Any] = response.json()
        return tokens

    def headers(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.log_in(name)['access_token']}"}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def serve(project: Project, task: str, **settings: str) -> Live:
    """Start `task` of `project` and wait until it is ready."""
    port = free_port()
    environment = {**project.environment, **settings, "PORT": str(port)}
    command = (project.manager, "run", "poe", task)
    # A file, not a pipe: the service would block when an unread pipe is full.
    output = tempfile.TemporaryFile("w+")  # noqa: SIM115 -- closed by `stop`
    process = subprocess.Popen(command, cwd=project.path, env=environment, stdout=output, start_new_session=True)
    client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            if client.get("/health/ready").status_code == 200:
                return Live(project, process, client, output)
        except httpx2.TransportError:
            pass
        if process.poll() is not None:
            client.close()
            with output:
                output.seek(0)
                pytest.fail(f"`{' '.join(command)}` ended:\n{output.read()[-4000:]}")
        assert time.monotonic() < deadline, f"`{' '.join(command)}` is not ready after {DEADLINE:.0f} s"
        time.sleep(0.05)


def stop(live: Live) -> str:
    """Stop the service with SIGINT, as a terminal does, and return its output."""
    live.client.close()
    os.killpg(live.process.pid, signal.SIGINT)
    live.process.wait(timeout=DEADLINE)
    with live.output:
        live.output.seek(0)
        return live.output.read()


EMPTY = """
import os, subprocess
from app.core.database.embedded import ensure_database

ensure_database()
sql = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
subprocess.run(("psql", os.environ["DATABASE_URL"], "-qc", sql), check=True)
"""


def empty(project: Project) -> None:
    """Delete rows that other tests of the installed project have left: tests run in any order."""
    project.run_inside("python", "-c", EMPTY)


@pytest.fixture(scope="module", params=once(PROFILES))
def live(installed: Callable[..., Project], request: pytest.FixtureRequest) -> Iterator[Live]:
    """Each profile, served with the command of its README, with an admin and without rate limits."""
    project = installed(**request.param)
    rates = ("REGISTRATION", "LOGIN", "LOGIN_ADDRESS", "REFRESH", "EMAIL", "EMAIL_ADDRESS")
    unlimited = dict.fromkeys((f"{name}_RATE" for name in rates), "100000/minute")
    empty(project)
    live = serve(project, "dev", **unlimited)
    made = subprocess.run(
        (project.manager, "run", "poe", "user", "--admin", "admin@example.com"),
        cwd=project.path,
        env=project.environment,
        input=f"{PASSWORD}\n",
        text=True,
        check=True,
        capture_output=True,
    )
    assert "is registered as an admin" in made.stdout
    try:
        yield live
    finally:
        printed = stop(live)
    assert "Documentation: http://127.0.0.1:" in printed


def problem(response: httpx2.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"]
    assert response.headers["x-content-type-options"] == "nosniff"
    document: dict[str, Any] = response.json()
    assert {"type", "title", "status", "detail", "instance"} <= document.keys()
    return document


def has_example(live: Live) -> bool:
    return (live.project.path / "src" / "app" / "orders").exists()


def test_health(live: Live) -> None:
    response = live.client.get("/health/live")
    assert response.status_code == 200
    assert not response.headers.get("server")
    assert live.client.get("/health/ready").json()["checks"] == ["database"]


def test_users_and_sessions(live: Live) -> None:
    ada, grace = live.register("ada"), live.register("grace")
    again = {"name": "Ada", "email": "ADA@example.com", "password": PASSWORD}
    problem(live.client.post("/api/v1/users", json=again), 409)
    problem(live.client.post("/api/v1/users", json=again | {"name": ""}), 422)
    problem(live.client.get("/api/v1/users/me"), 401)
    mine = live.headers("ada")
    assert live.client.get("/api/v1/users/me", headers=mine).json() == ada
    assert live.client.get(f"/api/v1/users/{ada['id']}", headers=mine).json() == ada
    problem(live.client.get(f"/api/v1/users/{grace['id']}", headers=mine), 404)
    problem(live.client.get("/api/v1/users", headers=mine), 403)
    admin = live.headers("admin")
    page = live.client.get("/api/v1/users", params={"page": 0, "size": 1000}, headers=admin).json()
    assert (page["page"], page["size"]) == (1, 100)
    assert ada | {"roles": []} in page["items"]
    with live.client.stream("GET", "/api/v1/users/export", headers=admin) as export:
        exported = [json.loads(line) for line in export.iter_lines()]
    assert grace in exported
    wrong = {"grant_type": "password", "username": "ada@example.com", "password": "not the password"}
    problem(live.client.post("/api/v1/auth/token", data=wrong), 400)


def test_refresh_token_is_used_once(live: Live) -> None:
    def refresh(token: str) -> httpx2.Response:
        return live.client.post("/api/v1/auth/token", data={"grant_type": "refresh_token", "refresh_token": token})

    live.register("edsger")
    first = live.log_in("edsger")["refresh_token"]
    second = refresh(first).json()["refresh_token"]
    assert problem(refresh(first), 400)["error"] == "invalid_grant"
    assert refresh(second).status_code == 200


def test_authlib_logs_in_refreshes_and_revokes(live: Live, tmp_path: Path) -> None:
    live.register("grace.hopper")
    url = str(live.client.base_url).rstrip("/")
    packages = [f"--with={package}" for package in AUTHLIB_NEEDS]
    script = ("python", "-c", AUTHLIB_STORY, url, PASSWORD)
    Project(tmp_path, live.project.environment).run("uv", "run", "--no-project", *packages, *script)


AUTHLIB_STORY = """
import sys

from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session

url, password = sys.argv[1:]
api, me = f"{url}/api/v1", f"{url}/api/v1/users/me"
renewed = []
session = OAuth2Session(
    "a-client", "its-secret", token_endpoint=f"{api}/auth/token", update_token=lambda *_, **__: renewed.append(True)
)
token = session.fetch_token(username="grace.hopper@example.com", password=password, scope="profile")
assert token["token_type"] == "bearer" and token["scope"] == "", token
assert session.get(me).json()["name"] == "grace.hopper"

refreshed = session.refresh_token()
assert refreshed["refresh_token"] != token["refresh_token"]
session.token = refreshed | {"expires_at": 1}
assert session.get(me).status_code == 200 and renewed, "an expired token is refreshed before a request"

try:
    session.refresh_token(refresh_token=token["refresh_token"])
except OAuthError as error:
    assert error.error == "invalid_grant", error
else:
    raise AssertionError("a used refresh token is accepted")

try:
    OAuth2Session(token_endpoint=f"{api}/auth/token").fetch_token(grant_type="client_credentials")
except OAuthError as error:
    assert error.error == "unsupported_grant_type", error

last = session.token
assert session.revoke_token(f"{api}/auth/revoke", token=last["refresh_token"]).status_code == 200
session.token = last
assert session.get(me).status_code == 401, "the access token ends with the session"
try:
    session.refresh_token(refresh_token=last["refresh_token"])
except OAuthError as error:
    assert error.error == "invalid_grant", error
else:
    raise AssertionError("a revoked refresh token is accepted")
"""


def test_core_errors_are_problems(live: Live) -> None:
    problem(live.client.get("/nothing"), 404)
    problem(live.client.delete("/api/v1/users"), 405)
    problem(live.client.post("/api/v1/users", content="x"), 415)
    # The service answers after the headers; a client that still sends the body may find the connection closed.
    with closing(HTTPConnection(live.client.base_url.host, live.client.base_url.port, timeout=60)) as connection:
        connection.putrequest("POST", "/api/v1/users")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", "2000000")
        connection.endheaders()
        refused = connection.getresponse()
        assert (refused.status, refused.headers["Content-Type"]) == (413, "application/problem+json")
    problem(live.client.get("/api/v1/users", headers={"Host": "evil.example"}), 400)


def test_orders_and_payments(live: Live) -> None:
    if not has_example(live):
        for path in ("/api/v1/products", "/api/v1/products/1", "/api/v1/orders", "/api/v1/payments/events"):
            problem(live.client.get(path), 404)
        return
    live.register("alan")
    admin, alan = live.headers("admin"), live.headers("alan")
    product = {"name": "Enigma", "price": "19.90", "stock": 2}
    problem(live.client.post("/api/v1/products", json=product, headers=alan), 403)
    for bad in ({"price": 0}, {"price": False}, {"stock": 0}, {"stock": True}):
        problem(live.client.post("/api/v1/products", json=product | bad, headers=admin), 422)
    made = live.client.post("/api/v1/products", json=product, headers=admin)
    assert made.status_code == 201, made.text
    product_id = made.json()["id"]
    assert live.client.get(made.headers["location"]).json() == made.json()
    found = live.client.get("/api/v1/products", params={"q": "enig"}).json()
    assert product_id in {item["id"] for item in found["items"]}
    problem(live.client.get("/api/v1/products", params={"color": "red"}), 422)

    lines = {"lines": [{"product_id": product_id, "quantity": 2}]}
    key = {"Idempotency-Key": "once"}
    first = live.client.post("/api/v1/orders", json=lines, headers=alan | key)
    assert first.status_code == 201, first.text
    assert (first.json()["total"], len(first.json()["lines"])) == ("39.80", 1)
    assert live.client.post("/api/v1/orders", json=lines, headers=alan | key).json() == first.json()
    problem(live.client.post("/api/v1/orders", json=lines, headers=alan), 409)
    unknown = {"lines": [{"product_id": 2**50, "quantity": 1}]}
    problem(live.client.post("/api/v1/orders", json=unknown, headers=alan), 404)
    today = first.json()["created_at"][:10]
    period = {"start_date": today, "end_date": today}
    assert live.client.get("/api/v1/orders", params=period, headers=alan).json()["total"] == 1
    problem(live.client.get("/api/v1/orders", params=period | {"end_date": "2000-01-01"}, headers=alan), 422)
    problem(live.client.get(first.headers["location"], headers=live.headers("admin") | {"Authorization": ""}), 401)
    problem(live.client.post("/api/v1/payments/events", json={"status": "ok"}), 401)


def test_generated_client_works(live: Live, tmp_path: Path) -> None:
    project = Project(tmp_path, live.project.environment)
    url = str(live.client.base_url).rstrip("/")
    generate = ("generate", f"--url={url}/openapi.json", "--meta=none", "--output-path=generated")
    printed = project.run("uv", "tool", "run", "--from", GENERATOR, "openapi-python-client", *generate)
    # The generator has no type for the NDJSON stream of the export.
    assert re.findall(r"^(?:WARNING|ERROR) .*", printed, re.MULTILINE) == [
        "WARNING parsing GET /api/v1/users/export within users."
    ]
    functions = {
        folder.name: {path.stem for path in folder.glob("[!_]*.py")}
        for folder in (tmp_path / "generated" / "api").iterdir()
        if folder.is_dir()
    }
    assert functions == CORE_FUNCTIONS | (EXAMPLE_FUNCTIONS if has_example(live) else {})
    if has_example(live):
        packages = [f"--with={package}" for package in CLIENT_NEEDS]
        project.run("uv", "run", "--no-project", *packages, "python", "-c", STORY, url, PASSWORD)


ENDS_OF_SESSIONS = (
    "PATCH /api/v1/users/{user_id}",
    "DELETE /api/v1/users/{user_id}",
    "DELETE /api/v1/auth/sessions",
    "DELETE /api/v1/auth/sessions/{session_id}",
)


def test_openapi_matches_the_responses(live: Live, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    is_engine = request.node.callspec.params["live"] in engines().values()
    token = live.log_in("admin")["access_token"]
    url = str(live.client.base_url.join("/openapi.json"))
    run = Project(tmp_path, live.project.environment)
    configuration = REPOSITORY / "tests" / "schemathesis.toml"
    options = (
        "--header",
        f"Authorization: Bearer {token}",
        "--max-examples",
        "20" if is_engine else "5",  # other profiles serve the same routes
        "--seed",
        "2026",
        "--generation-database",
        "none",
    )
    for selected in ("--exclude-name", "--include-name"):  # last the requests that end the admin's token
        names = [part for name in ENDS_OF_SESSIONS for part in (selected, name)]
        report = run.run(TOOLS / "st", "--config-file", configuration, "run", url, *options, *names)
        assert re.search(r"\b[1-9]\d+ generated", report), report


# The functions of a generated client. A renamed one breaks every client.
CORE_FUNCTIONS = {
    "api_keys": {"create_api_key", "delete_api_key", "list_api_keys"},
    "auth": {
        "confirm_password_reset",
        "end_session",
        "end_sessions",
        "issue_token",
        "list_sessions",
        "request_password_reset",
        "resend_verification",
        "revoke_token",
        "verify_email",
    },
    "health": {"live", "ready"},
    "invitations": {"create_invitation", "delete_invitation", "list_invitations"},
    "users": {
        "change_me",
        "change_my_password",
        "change_user",
        "deactivate_user",
        "erase_me",
        "export_me",
        "export_users",
        "get_me",
        "get_user",
        "list_users",
        "register",
    },
}
EXAMPLE_FUNCTIONS = {
    "orders": {"cancel_order", "get_order", "list_orders", "place_order", "summarize_orders"},
    "payments": {"receive_event"},
    "products": {"change_product", "create_product", "delete_product", "get_product", "list_products"},
    "profiles": {"change_profile", "get_profile", "replace_profile"},
    "supplier": {"list_supplier_products"},
}

STORY = """
import sys

from generated import AuthenticatedClient, Client
from generated.api.auth import issue_token
from generated.api.orders import list_orders, place_order
from generated.api.products import create_product
from generated.api.users import get_me, register
from generated.models import LineCreate, OrderCreate, Problem, ProductCreate, TokenForm, TokenFormGrantType, UserCreate

url, password = sys.argv[1:]
stranger = Client(base_url=url, raise_on_unexpected_status=True)


def log_in_as(email):
    form = TokenForm(grant_type=TokenFormGrantType.PASSWORD, username=email, password=password)
    tokens = issue_token.sync(client=stranger, body=form)
    return AuthenticatedClient(base_url=url, token=tokens.access_token, raise_on_unexpected_status=True)


barbara = UserCreate(name="Barbara", email="barbara@example.com", password=password)
registered = register.sync(client=stranger, body=barbara)
client = log_in_as("barbara@example.com")
assert get_me.sync(client=client) == registered

compiler = ProductCreate(name="Compiler", price="19.90", stock=3)
product = create_product.sync(client=log_in_as("admin@example.com"), body=compiler)
lines = OrderCreate(lines=[LineCreate(product_id=product.id, quantity=2)])
order = place_order.sync(client=client, body=lines, idempotency_key="once")
assert order.total == "39.80"
assert place_order.sync(client=client, body=lines, idempotency_key="once") == order
assert list_orders.sync(client=client).items == [order]

refused = place_order.sync(client=client, body=lines, idempotency_key="twice")
assert isinstance(refused, Problem) and refused.status == 409, refused
"""


def test_summaries_are_short(live: Live) -> None:
    document = live.client.get("/openapi.json").json()
    summaries = {
        name: operation["summary"]
        for methods in document["paths"].values()
        for operation in methods.values()
        for name in [operation["operationId"]]
    }
    assert {name: text for name, text in summaries.items() if not re.fullmatch(r"[A-Z][^.:;()]*", text)} == {}
    assert {name: text for name, text in summaries.items() if not 2 <= len(text.split()) <= 5} == {}


def test_production_hides_the_documentation(installed: Callable[..., Project]) -> None:
    project = installed()
    without = subprocess.run(
        ("uv", "run", "poe", "serve"),
        cwd=project.path,
        env={**project.environment, **PRODUCTION},
        capture_output=True,
        text=True,
        check=False,
    )
    assert without.returncode == 1
    assert without.stderr.strip().splitlines()[-1].startswith("DATABASE_URL is required in production")
    development = serve(project, "dev")
    script = (
        "from app.core.database.embedded import ensure_database; import os;"
        " ensure_database(); print(os.environ['DATABASE_URL'])"
    )
    url = project.run_inside("python", "-c", script).strip().splitlines()[-1]
    production = serve(project, "serve", DATABASE_URL=url, **PRODUCTION)
    try:
        for path in ("/docs", "/openapi.json"):
            assert development.client.get(path).status_code == 200
            problem(production.client.get(path), 404)
        assert "max-age" in production.client.get("/health/live").headers["strict-transport-security"]
        problem(production.client.get("/api/v1/users"), 401)
    finally:
        printed = stop(production)
        stop(development)
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    assert {"route": "/api/v1/users", "status": 401}.items() <= next(
        line for line in lines if line.get("route") == "/api/v1/users"
    ).items()
