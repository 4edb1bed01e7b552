"""Attacks by strangers on a production process, measured from outside of it, as ratios to a plain request."""

import http.client
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from conftest import PRODUCTION, Project, once
from questionnaire import engines
from test_attacks import DATABASE
from test_contract import PASSWORD, Live, empty, free_port, serve, stop

pytestmark = pytest.mark.deep

log = logging.getLogger(__name__)  # `pytest --log-cli-level=info` shows the measurements

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
UNLIMITED = dict.fromkeys(("REGISTRATION_RATE", "LOGIN_RATE", "LOGIN_ADDRESS_RATE", "REFRESH_RATE"), "100000/second")
PROBE_SECONDS = 5.0
"""Time limit for a probe. An idle machine needs milliseconds; the rest is for a busy one."""

FILL = """
import os, subprocess
from app.core.database.embedded import ensure_database

ensure_database()
row = "jsonb_populate_record(u, jsonb_build_object('id', 1000000 + i, 'email', 'fill' || i || '@example.com'))"
users = "users u, generate_series(1, 200000) i WHERE u.id = (SELECT min(id) FROM users)"
sql = f"INSERT INTO users OVERRIDING SYSTEM VALUE SELECT ({row}).* FROM {users}"
subprocess.run(("psql", os.environ["DATABASE_URL"], "-qc", sql), check=True)
"""
"""Adds so many users that an export does not fit into the buffers of a connection."""

TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="module", params=once(engines()))
def live(installed: Callable[..., Project], request: pytest.FixtureRequest) -> Iterator[Live]:
    project = installed(**request.param)
    with ExitStack() as running:
        empty(project)
        database = serve(project, "dev")  # migrates and keeps the embedded database running
        running.callback(stop, database)
        url = project.run_inside("python", "-c", DATABASE).strip().splitlines()[-1]
        settings = PRODUCTION | UNLIMITED | {"DATABASE_URL": url, "ALLOWED_HOSTS": "127.0.0.1,localhost"}
        found = serve(project, "serve", **settings)
        running.callback(stop, found)
        yield found


def call(live: Live, method: str, path: str, body: str | None = None, headers: Mapping[str, str] = {}) -> Any:
    """Return status, seconds, headers and body of a request on a new connection."""
    connection = http.client.HTTPConnection("127.0.0.1", live.client.base_url.port, timeout=120)
    started = time.monotonic()
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        content = response.read()
        return response.status, time.monotonic() - started, response.headers, content
    finally:
        connection.close()


def together(number: int, request: Callable[[int], Any]) -> list[Any]:
    with ThreadPoolExecutor(number) as threads:
        return list(threads.map(request, range(number)))


@contextmanager
def probing(live: Live) -> Iterator[None]:
    """Assert that probes are answered in time during the block."""
    ended = threading.Event()
    longest: dict[str, float] = {}
    statuses: Counter[int] = Counter()

    def probe(path: str) -> None:
        while True:
            status, seconds, *_ = call(live, "GET", path)
            statuses[status] += 1
            longest[path] = max(seconds, longest.get(path, 0))
            if ended.wait(0.1):
                break

    with ThreadPoolExecutor(2) as threads:
        probes = [threads.submit(probe, path) for path in ("/health/live", "/health/ready")]
        time.sleep(0.2)
        try:
            yield
        finally:
            ended.set()
    log.info("probes %s, longest %s", statuses, longest)
    for answered in probes:
        answered.result()
    assert statuses.keys() == {200}
    assert max(longest.values()) < PROBE_SECONDS


class Usage:
    """CPU seconds and memory of the serving process."""

    def __init__(self, live: Live) -> None:
        pids = [live.process.pid]
        for pid in pids:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                pids += map(int, children.read_text().split())
        self.processes = [Path(f"/proc/{pid}") for pid in pids]
        self.cpu = self._cpu()

    def seconds(self) -> float:
        return self._cpu() - self.cpu

    def mebibytes(self) -> float:
        """Return the highest memory until now."""
        status = [path / "status" for path in self.processes]
        peaks = [line.split()[1] for path in status for line in path.read_text().splitlines() if "VmHWM" in line]
        return sum(map(int, peaks)) / 1024

    def _cpu(self) -> float:
        fields = [(path / "stat").read_text().rpartition(")")[2].split() for path in self.processes]
        return sum(int(field[11]) + int(field[12]) for field in fields) / TICKS


def test_thousands_of_unknown_keys_cost_little(live: Live) -> None:
    """A body of nearly 64 KiB, of unknown keys: the response is small, and memory stays flat."""
    plain, hostile = json.dumps({"name": "x" * 43}), json.dumps({str(key): 1 for key in range(5800)})
    assert 60_000 < len(hostile) < 65_536
    for _ in range(20):
        call(live, "POST", "/api/v1/users", plain, JSON)
    usage = Usage(live)
    for _ in range(40):
        assert call(live, "POST", "/api/v1/users", plain, JSON)[0] == 422
    cheap, before = usage.seconds(), usage.mebibytes()
    usage = Usage(live)
    answers = together(8, lambda _: [call(live, "POST", "/api/v1/users", hostile, JSON) for _ in range(5)])
    assert {answer[0] for batch in answers for answer in batch} == {422}
    assert max(len(answer[3]) for batch in answers for answer in batch) < 4096
    ratio, growth = usage.seconds() / max(cheap, 0.01), usage.mebibytes() - before
    log.info("unknown keys: %.1f times the CPU time of plain requests, %.0f MiB more", ratio, growth)
    assert ratio < 30
    assert growth < 100
    with_too_much = json.dumps({str(key): 1 for key in range(110_000)})
    assert call(live, "POST", "/api/v1/users", with_too_much, JSON)[0] == 413


def slow(live: Live, sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", live.client.base_url.port or 0), timeout=60)
    connection.sendall(sent)
    return connection


def test_slow_requests_do_not_delay_others(live: Live) -> None:
    """104 clients send one byte of a body, and 104 half a head. They are refused after the time limit."""
    body = b"POST /api/v1/users HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with ExitStack() as connections:
        started = time.monotonic()
        waiting = [
            connections.enter_context(slow(live, sent)) for sent in [body + b"Content-Length: 100\r\n\r\n{", body] * 104
        ]
        with probing(live):
            plain = json.dumps({"name": "x" * 43})
            assert {call(live, "POST", "/api/v1/users", plain, JSON)[0] for _ in range(20)} == {422}
        for connection in (waiting[0], waiting[1], waiting[-1]):
            assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")
        log.info("slow requests end after %.1f s", time.monotonic() - started)
        assert time.monotonic() - started < 40


def test_burst_of_log_ins_is_refused_in_part(live: Live) -> None:
    """100 log-ins and 30 registrations at the same time: some are answered, the others are 503 immediately."""

    def request(number: int) -> Any:
        if number % 4:
            form = f"grant_type=password&username=user{number}@example.com&password=wrong+password"
            return call(live, "POST", "/api/v1/auth/token", form, FORM)
        account = {"name": "Ada", "email": f"burst{number}@example.com", "password": PASSWORD}
        return call(live, "POST", "/api/v1/users", json.dumps(account), JSON)

    with probing(live):
        answers = together(130, request)
    statuses = Counter(answer[0] for answer in answers)
    log.info("log-ins %s, longest %.1f s", statuses, max(answer[1] for answer in answers))
    assert statuses.keys() <= {201, 400, 503}
    assert statuses[503] > 60, "waiting hashes are limited"
    assert statuses[400] + statuses[201] >= 10, "and the others are answered"
    assert all(answer[2]["retry-after"] for answer in answers if answer[0] == 503)


def test_slow_exports_leave_connections_to_others(live: Live) -> None:
    made = subprocess.run(
        (live.project.manager, "run", "poe", "user", "--admin", "exporter@example.com"),
        cwd=live.project.path,
        env={**live.project.environment, "ENVIRONMENT": "development"},
        input=f"{PASSWORD}\n",
        text=True,
        check=False,
        capture_output=True,
    )
    assert made.returncode == 0, made.stderr
    form = f"grant_type=password&username=exporter@example.com&password={PASSWORD.replace(' ', '+')}"
    token = json.loads(call(live, "POST", "/api/v1/auth/token", form, FORM)[3])["access_token"]
    request = f"GET /api/v1/users/export HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    live.project.run_inside("python", "-c", FILL)
    with ExitStack() as connections, probing(live):
        exports = [connections.enter_context(slow(live, request)) for _ in range(25)]
        statuses = Counter(connection.recv(12) for connection in exports)
        assert call(live, "GET", "/api/v1/users", None, {"Authorization": f"Bearer {token}"})[0] == 200
    log.info("exports %s", statuses)
    assert statuses == {b"HTTP/1.1 200": 2, b"HTTP/1.1 503": 23}


def test_many_connections_are_served_in_turn(live: Live) -> None:
    wrk = shutil.which("wrk")
    assert wrk, "Install wrk: `apt-get install wrk` as root."
    account = {"name": "Ada", "email": "turns@example.com", "password": PASSWORD}
    user = json.loads(call(live, "POST", "/api/v1/users", json.dumps(account), JSON)[3])["id"]
    form = f"grant_type=password&username=turns@example.com&password={PASSWORD.replace(' ', '+')}"
    token = json.loads(call(live, "POST", "/api/v1/auth/token", form, FORM)[3])["access_token"]
    options = ("-t1", "-c256", "-d8", "--timeout", "30", "--latency", "-H", f"Authorization: Bearer {token}")
    url = f"{live.client.base_url}/api/v1/users/{user}"
    with probing(live):
        printed = subprocess.run((wrk, *options, url), capture_output=True, text=True, check=True).stdout
    log.info(printed)
    units = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
    times: dict[str, float] = {}
    for name, text in (line.split() for line in printed.splitlines() if line.strip().startswith(("50%", "99%"))):
        unit = next(unit for unit in ("us", "ms", "s") if text.endswith(unit))
        times[name] = float(text.removesuffix(unit)) * units[unit]
    assert "Non-2xx" not in printed
    assert "Socket errors" not in printed
    assert times["99%"] < 15 * times["50%"], "an unfair queue makes some requests wait 40 times as long"


def test_full_disk_and_lost_log_reader_fail_no_request(live: Live) -> None:
    """Each request logs a line. The output is a full disk, and then a pipe without a reader."""
    project, environment = live.project, dict(live.project.environment)
    reader, writer = os.pipe()
    full = os.open("/dev/full", os.O_WRONLY)
    for output in (full, writer):
        port = free_port()
        process = subprocess.Popen(
            (project.python(), "-m", "app", "serve"),
            cwd=project.path,
            env=environment | {"PORT": str(port), "ENVIRONMENT": "development", "LOG_FORMAT": "json"},
            stdout=output,
            start_new_session=True,
        )
        os.close(output)
        try:
            deadline = time.monotonic() + 60
            statuses: list[int] = []
            while len(statuses) < 5 and time.monotonic() < deadline:
                with suppress(OSError):
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                    connection.request("GET", "/nothing")
                    statuses.append(connection.getresponse().status)
                    connection.close()
                    if output == writer and len(statuses) == 1:
                        os.close(reader)
                time.sleep(0.05)
            assert statuses == [404] * 5
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def test_missing_collector_does_not_delay_the_end(live: Live) -> None:
    """SIGTERM ends the process within 30 s, while the collector of telemetry takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        started = serve(live.project, "serve", ENVIRONMENT="development", **settings)
        for _ in range(5):
            started.client.get("/api/v1/users")
        begun = time.monotonic()
        stop(started)
    log.info("ended after %.1f s", time.monotonic() - begun)
    assert time.monotonic() - begun < 15
