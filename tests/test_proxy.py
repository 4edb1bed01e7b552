"""A production process behind nginx that strips a prefix and keeps its connections."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from conftest import PRODUCTION, Project, once
from questionnaire import engines
from test_attacks import DATABASE, lines
from test_contract import PASSWORD, Live, empty, free_port, serve, stop

pytestmark = pytest.mark.deep

PREFIX = "/shop"
PATHS = {"buffered": PREFIX, "unbuffered": "/stream"}
"""Paths of the service behind nginx: with request buffering, and without."""

UNLIMITED = dict.fromkeys(("REGISTRATION_RATE", "LOGIN_RATE", "LOGIN_ADDRESS_RATE"), "100000/second")
PAUSE_SECONDS = 5.0
"""The idle time after which many servers close a connection, while the proxy sends the next request."""

CONFIGURATION = """
daemon off;
pid nginx.pid;
error_log error.log warn;
{user}
events {{}}
http {{
    access_log access.log;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    scgi_temp_path scgi;
    uwsgi_temp_path uwsgi;
    client_max_body_size 20m;
    proxy_next_upstream off;
    upstream service {{
        server 127.0.0.1:{service};
        keepalive 16;
    }}
    server {{
        listen 127.0.0.1:{port};
        proxy_http_version 1.1;
        proxy_set_header Host $host;
        proxy_set_header Connection "";
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        location /shop/ {{ proxy_pass http://service/; }}
        location /stream/ {{
            proxy_pass http://service/;
            proxy_request_buffering off;
            proxy_buffering off;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Proxied:
    live: Live
    port: int

    @property
    def client(self) -> httpx2.Client:
        return httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def connections(self) -> set[int]:
        """Return the ports of nginx's connections to the service."""
        service = self.live.client.base_url.port
        fields = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        established = [field[1:3] for field in fields if field[3] == "01"]
        return {
            int(near.partition(":")[2], 16) for near, far in established if int(far.partition(":")[2], 16) == service
        }


@pytest.fixture(scope="module", params=once(engines()))
def proxied(
    installed: Callable[..., Project], request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxied]:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert nginx, "The tests of a proxy need nginx: run `apt-get install nginx-light` as root."
    project = installed(**request.param)
    with ExitStack() as running:
        empty(project)
        database = serve(project, "dev")  # migrates and keeps the embedded database running
        running.callback(stop, database)
        url = project.run_inside("python", "-c", DATABASE).strip().splitlines()[-1]
        settings = {"DATABASE_URL": url, "ROOT_PATH": PREFIX, "TRUSTED_PROXIES": "127.0.0.1"}
        live = serve(project, "serve", **PRODUCTION, **UNLIMITED, **settings)
        running.callback(stop, live)
        folder = tmp_path_factory.mktemp("nginx")
        port = free_port()
        user = "user root;" if os.geteuid() == 0 else ""
        text = CONFIGURATION.format(user=user, port=port, service=live.client.base_url.port)
        (folder / "nginx.conf").write_text(text)
        server = subprocess.Popen((nginx, "-p", folder, "-e", "error.log", "-c", "nginx.conf"))
        running.callback(server.wait, 30)
        running.callback(server.terminate)
        found = Proxied(live, port)
        deadline = time.monotonic() + 30
        while True:
            with suppress(httpx2.TransportError), found.client as client:
                assert client.get(f"{PREFIX}/health/ready").status_code == 200
                break
            assert time.monotonic() < deadline, (folder / "error.log").read_text()
            time.sleep(0.05)
        yield found


def register(client: httpx2.Client, name: str, prefix: str = PREFIX) -> httpx2.Response:
    body = {"name": "Ada", "email": f"{name}@example.com", "password": PASSWORD}
    return client.post(f"{prefix}/api/v1/users", json=body)


def bearer(client: httpx2.Client, name: str) -> dict[str, str]:
    form = {"grant_type": "password", "username": f"{name}@example.com", "password": PASSWORD}
    tokens = client.post(f"{PREFIX}/api/v1/auth/token", data=form).json()
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def test_location_has_the_stripped_prefix(proxied: Proxied) -> None:
    with proxied.client as client:
        made = register(client, "prefix")
        assert made.headers["location"] == f"{PREFIX}/api/v1/users/{made.json()['id']}"
        assert client.get(made.headers["location"], headers=bearer(client, "prefix")).json() == made.json()
        problem = client.get(f"{PREFIX}/api/v1/nothing")
        assert (problem.status_code, problem.headers["content-type"]) == (404, "application/problem+json")


def test_head_keeps_the_connection_in_order(proxied: Proxied) -> None:
    with proxied.client as client:
        register(client, "head")
        headers = bearer(client, "head")
        for _ in range(20):
            head = client.head(f"{PREFIX}/api/v1/users/me", headers=headers)
            got = client.get(f"{PREFIX}/api/v1/users/me", headers=headers)
            assert (head.status_code, head.content, got.status_code) == (200, b"", 200)
            assert int(head.headers["content-length"]) == len(got.content)


@pytest.mark.parametrize("prefix", PATHS.values(), ids=PATHS)
def test_large_body_is_413_and_chunks_are_read(proxied: Proxied, prefix: str) -> None:
    large = json.dumps({"name": "x" * 10_000_000}).encode()
    small = json.dumps({"name": "Ada", "email": f"chunks{prefix[1:]}@example.com", "password": PASSWORD}).encode()
    with proxied.client as client:
        for content in (large, iter([large[:5_000_000], large[5_000_000:]])):
            refused = client.post(
                f"{prefix}/api/v1/users", content=content, headers={"Content-Type": "application/json"}
            )
            assert refused.status_code == 413, refused.text
        parts = (small[start : start + 20] for start in range(0, len(small), 20))
        made = client.post(f"{prefix}/api/v1/users", content=parts, headers={"Content-Type": "application/json"})
        assert made.status_code == 201, made.text


def test_idle_connections_are_used_again(proxied: Proxied) -> None:
    """A POST may not be repeated by the proxy: no connection may be closed while it is sent."""
    with ExitStack() as clients, ThreadPoolExecutor(8) as threads:
        opened = [clients.enter_context(proxied.client) for _ in range(8)]
        used = []
        for turn in range(4):
            requests = [threads.submit(register, client, f"idle{turn}x{n}") for n, client in enumerate(opened)]
            assert [request.result().status_code for request in requests] == [201] * 8
            used.append(proxied.connections())
            time.sleep(PAUSE_SECONDS)
    assert used[-1]
    assert used[-1] <= used[0], "no connection was opened again"


@pytest.mark.parametrize("prefix", PATHS.values(), ids=PATHS)
def test_leaving_client_logs_no_error(proxied: Proxied, prefix: str) -> None:
    before = len(lines(proxied.live))
    head = f"POST {prefix}/api/v1/users HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for sent in ("Content-Length: 1000\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", "Content-Le"):
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", proxied.port)) as client:
                client.sendall((head + sent).encode())
                time.sleep(0.05)
    for _ in range(10):  # also while the service hashes the password
        connection = http.client.HTTPConnection("127.0.0.1", proxied.port)
        body = json.dumps({"name": "Ada", "email": f"left{prefix[1:]}@example.com", "password": PASSWORD})
        connection.request("POST", f"{prefix}/api/v1/users", body, {"Content-Type": "application/json"})
        time.sleep(0.01)
        connection.close()
    with proxied.client as client:
        assert register(client, f"stayed{prefix[1:]}", prefix).status_code == 201
        assert client.get(f"{PREFIX}/health/ready").status_code == 200
    written = "\n".join(lines(proxied.live)[before:])
    assert "request" in written
    assert not re.search(r"request failed|Traceback|\"level\": \"error\"", written), written
