"""Attacks over HTTP on two production processes: controls that need the real server or Redis."""

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import PRODUCTION, Project, once
from questionnaire import engines
from test_contract import Live, empty, free_port, serve, stop

pytestmark = pytest.mark.deep

SETTINGS = PRODUCTION | {"REGISTRATION_RATE": "3/hour", "LOGIN_RATE": "2/hour"}
DATABASE = """
import os
from app.core.database.embedded import ensure_database

ensure_database()
print(os.environ["DATABASE_URL"])
"""
INVALID_USER = {"name": "Ada", "email": "no address", "password": "engine no. 1"}


@dataclass
class Redis:
    """A Redis without persistence, on a free port."""

    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        server = shutil.which("redis-server")
        assert server, "The tests of shared limits need a Redis server: run `apt-get install redis-server` as root."
        self.server = server

    def start(self) -> None:
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
        self.process = subprocess.Popen((self.server, *options), stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert time.monotonic() < deadline, "Redis does not start"
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)


@dataclass(frozen=True)
class Pair:
    """Two processes with one database and one Redis. The second is behind a proxy on this machine."""

    first: Live
    second: Live
    redis: Redis


@pytest.fixture(scope="module", params=once(engines()))
def pair(installed: Callable[..., Project], request: pytest.FixtureRequest) -> Iterator[Pair]:
    project = installed(**request.param)
    with ExitStack() as running:

        def started(task: str, **settings: str) -> Live:
            live = serve(project, task, **settings)
            running.callback(stop, live)
            return live

        empty(project)
        started("dev")  # migrates and keeps the embedded database running
        url = project.run_inside("python", "-c", DATABASE).strip().splitlines()[-1]
        redis = Redis()
        redis.start()
        running.callback(redis.stop)
        settings = SETTINGS | {"DATABASE_URL": url, "REDIS_URL": f"redis://127.0.0.1:{redis.port}"}
        yield Pair(started("serve", **settings), started("serve", TRUSTED_PROXIES="127.0.0.1", **settings), redis)


PAUSE = 2.1  # seconds: after an error, a process tries Redis again after 2 s


def register(live: Live, *, forwarded: str | None = None, **headers: str) -> int:
    """Return the status of a registration that fails, because of its limit or its body."""
    if forwarded:
        headers["X-Forwarded-For"] = forwarded
    return live.client.post("/api/v1/users", json=INVALID_USER, headers=headers).status_code


def test_rate_limits_are_shared_and_survive_redis(pair: Pair) -> None:
    turns = [register(live) for live in (pair.first, pair.second, pair.first, pair.second, pair.first)]
    assert turns == [422, 422, 422, 429, 429]
    form = {"grant_type": "password", "username": "ada@example.com", "password": "wrong password"}
    answers = [live.client.post("/api/v1/auth/token", data=form) for live in (pair.first, pair.second, pair.second)]
    assert [answer.status_code for answer in answers] == [400, 400, 429]
    assert int(answers[-1].headers["retry-after"]) > 60

    pair.redis.stop()
    assert [register(pair.first) for _ in range(4)] == [422, 422, 422, 429], (
        "each process counts alone, but still limits"
    )
    degraded = pair.first.client.get("/health/ready")
    assert (degraded.status_code, degraded.json()["degraded"]) == (200, ["redis"])
    pair.redis.start()
    time.sleep(PAUSE)
    for live in (pair.first, pair.second):
        register(live)  # if the connection is broken, this process counts without Redis for another PAUSE
    time.sleep(PAUSE)
    turns = [register(live) for _ in range(4) for live in (pair.second, pair.first)]
    assert turns[-1] == turns[-2] == 429
    assert turns.count(422) in {1, 2, 3}
    assert pair.first.client.get("/health/ready").json()["checks"] == ["database", "redis"]


def test_forwarded_headers_need_a_trusted_proxy(pair: Pair) -> None:
    while register(pair.first) != 429:
        pass
    for name in ("X-Forwarded-For", "X_Forwarded_For", "X-Real-IP", "Forwarded"):
        assert register(pair.first, **{name: "203.0.113.1"}) == 429
    # Behind the proxy: the address that the proxy appends counts, not the addresses before it.
    turns = [register(pair.second, forwarded=f"198.51.100.{number}, 203.0.113.7") for number in range(4)]
    assert turns == [422, 422, 422, 429]
    assert register(pair.second, forwarded="203.0.113.7", X_Forwarded_For="198.51.100.9") == 429
    assert register(pair.second, forwarded="203.0.113.8") == 422
    turns = [register(pair.second, forwarded=f"2001:db8::{number:x}") for number in range(1, 5)]
    assert turns == [422, 422, 422, 429], "a /64 network is one client"


INNER = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def message(headers: bytes, body: bytes) -> bytes:
    return b"POST /api/v1/users HTTP/1.1\r\nHost: 127.0.0.1\r\n" + headers + b"\r\n" + body


@pytest.mark.parametrize(
    "sent",
    [
        message(b"Content-Length: %d\r\n" % (5 + len(INNER)) + CHUNKED, b"0\r\n\r\n" + INNER),
        message(CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n" + INNER),
        message(b"Content-Length: 5\r\nContent-Length: 0\r\n", b"{}   " + INNER),
        message(b"Content-Length: 0, 5\r\n", INNER),
        message(b"Content-Length: +0\r\n", INNER),
        message(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n" + INNER),
        message(CHUNKED, b"0x0\r\n\r\n" + INNER),
        message(CHUNKED, b"-1\r\n\r\n" + INNER),
        message(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n" + INNER),
        message(b"X: a\x00b\r\n", b"") + INNER,
        b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"x" * 1_000_000 + b"\r\n\r\n" + INNER,
        b"GET /" + b"x" * 1_000_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + INNER,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" + INNER,
    ],
    ids=[
        "length before chunks",
        "chunks before length",
        "two lengths",
        "list of lengths",
        "signed length",
        "unknown encoding",
        "hexadecimal chunk",
        "negative chunk",
        "blank before colon",
        "NUL",
        "long header",
        "long path",
        "TLS",
    ],
)
def test_request_smuggling_is_refused(pair: Pair, sent: bytes) -> None:
    for live in (pair.first, pair.second):
        with socket.create_connection(("127.0.0.1", live.client.base_url.port or 0), timeout=5) as connection:
            received = b""
            try:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(65_536):
                    received += piece
            except OSError:
                pass
        statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", received)]
        assert len(statuses) <= 1, received
        assert all(400 <= status < 500 for status in statuses), received
        assert live.client.get("/health/live").status_code == 200


def test_responses_do_not_name_the_server(pair: Pair) -> None:
    for path in ("/health/live", "/nothing", "/api/v1/users", "/.git/config", "/admin/login/"):
        response = pair.first.client.get(path)
        assert not {"x-powered-by", "via"} & response.headers.keys()
        assert not re.search(r"\d", response.headers.get("server", "")), "a name without a version"
        assert response.headers["strict-transport-security"] == "max-age=63072000; includeSubDomains"
        for cookie in response.headers.get_list("set-cookie"):
            assert cookie.strip().startswith("__Host-")
            assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))


def test_log_injection_stays_on_one_line(pair: Pair) -> None:
    before = len(lines(pair.first))
    forged = pair.first.client.get(
        "/nothing/%0d%0a%7b%22forged%22:1%7d%e2%80%a8", headers={"X-Request-ID": "forged-\tid-1234"}
    )
    refused = pair.first.client.get("/api/v1/users/me", headers={"Authorization": "Bearer hunter2-hunter2"})
    sent = sorted(response.headers["x-request-id"] for response in (forged, refused))
    deadline = time.monotonic() + 30
    # A request is logged after its response, so lines of earlier requests can appear here.
    while len(of_these := [name for line in lines(pair.first)[before:] for name in sent if name in line]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    written = lines(pair.first)[before:]
    assert sorted(of_these) == sent
    assert all("event" in json.loads(line) for line in written)
    assert not re.search("hunter2|forged-", "".join(written))


def lines(live: Live) -> list[str]:
    """Return the output of the service until now. The service appends to the same open file."""
    descriptor = Path(f"/proc/self/fd/{live.output.fileno()}")
    return descriptor.read_text().splitlines()
