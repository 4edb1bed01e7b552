"""What a rendered service costs beside a bare FastAPI application on the same server and database.

    uv run python benchmarks/serving.py [--rounds 5] [--seconds 4] [--granian] [--service FOLDER]

Renders the service with everything on, installs it as production does, and starts both as one process each, with a
PostgreSQL that the service's development dependencies bring along. Where there are two cores, the servers have one
for themselves; wrk and PostgreSQL share the rest. Runs take turns, and each ratio is that of two runs side by side,
so a machine that is busy with something else shows in the spread and less in the ratio. Linux only; needs wrk.
"""

import argparse
import http.client
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import urlencode

from common import ENVIRONMENT, UV, copier, copy_template, everything, run, spread, table

HERE = Path(__file__).parent
ADMIN = "admin@example.com"
PASSWORD = secrets.token_urlsafe()
CONNECTIONS = 32
POOL_SIZE = 20
EXPORTED = 1_000_000
MEBIBYTE = 2**20
BARE_IMPORT = "import fastapi, sqlalchemy.ext.asyncio"

CORES = sorted(os.sched_getaffinity(0))
SERVERS, CLIENTS = (CORES[:1], CORES[1:]) if len(CORES) > 1 else (CORES, CORES)


def pinned(cores: Sequence[int], *command: str | Path) -> list[str]:
    return ["taskset", "--cpu-list", ",".join(map(str, cores)), *map(str, command)]


class Server(NamedTuple):
    """A process that serves, and how long it took from its start to its first 200."""

    process: subprocess.Popen[bytes]
    port: int
    seconds: float

    @classmethod
    @contextmanager
    def started(cls, folder: Path, environment: Mapping[str, str], *command: str | Path) -> Iterator[Self]:
        with closing(socket.create_server(("127.0.0.1", 0))) as probe:
            port: int = probe.getsockname()[1]
        started = time.perf_counter()
        own = {**environment, "PORT": str(port), "GRANIAN_PORT": str(port)}
        with (folder / f"{port}.log").open("wb") as log:
            process = subprocess.Popen(pinned(SERVERS, *command), cwd=folder, env=own, stdout=log, stderr=log)
        try:
            while not answers(port):
                if process.poll() is not None or time.perf_counter() - started > 60:
                    sys.exit(f"{command[0]} does not serve:\n{Path(log.name).read_text()}")
                time.sleep(0.005)
            yield cls(process, port, time.perf_counter() - started)
        finally:
            process.terminate()
            process.wait()

    def resident(self, field: str = "VmRSS") -> int:
        """Resident memory in bytes, now or (VmHWM) at its peak."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        found = re.search(rf"{field}:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", "ascii")


def answers(port: int) -> bool:
    try:
        return request(port, "GET", "/health/live")[0] == 200
    except OSError:
        return False


def request(
    port: int, method: str, path: str, body: str | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read()


class Load(NamedTuple):
    """What wrk measured."""

    rate: float
    p50: float
    p99: float

    @classmethod
    def put(cls, server: Server, path: str, seconds: int, token: str = "") -> Self:
        command = ["wrk", "--threads=1", f"--connections={CONNECTIONS}", f"--duration={seconds}s", "--latency"]
        header = [f"--header=Authorization: Bearer {token}"] if token else []
        said = run(*pinned(CLIENTS, *command, *header, f"http://127.0.0.1:{server.port}{path}"))
        if "Non-2xx" in said or "Socket errors" in said:
            sys.exit(f"GET {path} failed under load:\n{said}")
        rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
        assert rate
        return cls(float(rate[1]), *(_milliseconds(said, percent) for percent in (50, 99)))


def _milliseconds(said: str, percent: int) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s)$", said, re.MULTILINE)
    assert found
    return float(found[1]) * {"us": 0.001, "ms": 1, "s": 1000}[found[2]]


class Service:
    """A rendered service in a folder, installed twice: as production has it, and with what brings PostgreSQL along."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.production = folder / ".venv-production" / "bin"
        run(UV, "sync", "--quiet", folder=folder)
        # Bytecode is compiled when an image is built, not when a container starts.
        self._uv("sync", "--quiet", "--no-dev", "--compile-bytecode")
        self.environment = ENVIRONMENT | {
            "ENVIRONMENT": "production",
            "SECRET_KEY": secrets.token_urlsafe(48),
            "PAYMENTS_SECRET": secrets.token_urlsafe(48),
            "ALLOWED_HOSTS": "127.0.0.1",
            "DATABASE_POOL_SIZE": str(POOL_SIZE),
            "LOGIN_RATE": "1000/minute",
        }

    @classmethod
    def render(cls, room: Path) -> Self:
        copy_template(room / "template")
        run(*copier(room / "template", room / "service", *everything()), folder=room)
        return cls(room / "service")

    def _uv(self, *arguments: str) -> None:
        environment = ENVIRONMENT | {"UV_PROJECT_ENVIRONMENT": str(self.production.parent)}
        subprocess.run([UV, *arguments], cwd=self.folder, env=environment, check=True)

    def add(self, package: str) -> None:
        """Install what only the benchmark needs."""
        self._uv("pip", "install", "--quiet", "--python", str(self.production / "python"), package)

    @contextmanager
    def database(self) -> Iterator[Callable[[str], None]]:
        """PostgreSQL with migrated, empty tables; gives what runs a statement there."""
        command = pinned(CLIENTS, self.folder / ".venv/bin/python", HERE / "postgres.py")
        with subprocess.Popen(
            command, cwd=self.folder, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin
            assert process.stdout

            def execute(statement: str) -> None:
                assert process.stdin
                assert process.stdout
                process.stdin.write(f"{statement}\n")
                process.stdin.flush()
                if not process.stdout.readline():
                    sys.exit(f"{statement} failed")

            self.environment["DATABASE_URL"] = process.stdout.readline().strip()
            self.app("migrate")
            execute("TRUNCATE users RESTART IDENTITY CASCADE")
            self.app("user", "--admin", ADMIN, given=f"{PASSWORD}\n")
            yield execute
            process.stdin.close()

    def app(self, *arguments: str, given: str = "") -> None:
        command: list[str | Path] = [self.production / "python", "-m", "app", *arguments]
        subprocess.run(
            command, cwd=self.folder, env=self.environment, input=given.encode(), stdout=subprocess.DEVNULL, check=True
        )

    @contextmanager
    def serving(self) -> Iterator[Server]:
        with Server.started(self.folder, self.environment, self.production / "python", "-m", "app", "serve") as server:
            yield server

    @contextmanager
    def bare(self) -> Iterator[Server]:
        with Server.started(self.folder, self.environment, self.production / "python", HERE / "floor.py") as server:
            yield server

    @contextmanager
    def granian(self) -> Iterator[Server]:
        options = ["--interface=asgi", "--factory", "--loop=uvloop", "--no-ws", "--log-level=warning"]
        granian = self.production / "granian"
        with Server.started(self.folder, self.environment, granian, *options, "app.main:create_app") as server:
            yield server


def log_in(server: Server) -> str:
    form = urlencode({"username": ADMIN, "password": PASSWORD})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    status, body = request(server.port, "POST", "/auth/token", form, headers)
    if status != 200:
        sys.exit(f"the log-in answers {status}: {body.decode()}")
    token: str = json.loads(body)["access_token"]
    return token


def compare(service: Server, bare: Server, rounds: int, seconds: int, names: tuple[str, str]) -> list[list[str]]:
    """Both requests, of the service and of the bare application in turn."""
    token = log_in(service)
    rows: list[list[str]] = []
    for path, floor in (("/health/live", 0.75), ("/users/1", 1.0)):
        for server in (service, bare):
            Load.put(server, path, 1, token)  # connects the pool and warms the caches
        pairs = [[Load.put(server, path, seconds, token) for server in (bare, service)] for _ in range(rounds)]
        ours, theirs = [one for _, one in pairs], [other for other, _ in pairs]
        for name, loads in zip(names, (ours, theirs), strict=True):
            rows += [
                [f"GET {path}, {name}", f"{spread([load.rate for load in loads], '{:.0f}')} req/s", ""],
                ["  p50 and p99", f"{_latencies(loads)} ms", ""],
            ]
        rows += [
            ["  ratio", f"{spread([one.rate / other.rate for other, one in pairs])} x", f">= {floor}"],
            ["  p99 / p50", f"{spread([load.p99 / load.p50 for load in ours])} x", "<= 3"],
        ]
    return rows


def _latencies(loads: Sequence[Load]) -> str:
    return " and ".join(spread([getattr(load, name) for load in loads], "{:.1f}") for name in ("p50", "p99"))


def export(server: Server, execute: Callable[[str], None]) -> list[list[str]]:
    """A million users out of a process that has just answered its first requests."""
    execute(
        "INSERT INTO users (name, email, password_hash)"
        " SELECT 'User ' || n, 'user' || n || '@example.com', 'none' FROM generate_series(1, 1000000) AS n"
    )
    execute("VACUUM ANALYZE users")
    token = log_in(server)
    with closing(http.client.HTTPConnection("127.0.0.1", server.port)) as connection:
        before = server.resident()
        server.forget_peak()
        started = time.perf_counter()
        connection.request("GET", "/users/export", headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        first = response.read(1)
        first_byte = time.perf_counter() - started
        lines = first.count(b"\n")
        while chunk := response.read1(MEBIBYTE):
            lines += chunk.count(b"\n")
        seconds = time.perf_counter() - started
        peak = server.resident("VmHWM")
    if lines != EXPORTED + 1:
        sys.exit(f"the export ended after {lines} of {EXPORTED + 1} users")
    return [
        [f"export of {EXPORTED:,} users, first byte", f"{first_byte * 1000:.0f} ms", "<= 100"],
        ["  memory grows by", f"{(peak - before) / MEBIBYTE:.1f} MiB", "< 40"],
        ["  speed", f"{lines / seconds:.0f} rows/s", ""],
    ]


def starts(service: Service, rounds: int) -> list[list[str]]:
    """Starts of the service, of the bare application and of a bare import in turn."""
    ours: list[float] = []
    bare: list[float] = []
    imports: list[float] = []
    memory: list[float] = []
    bare_memory: list[float] = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        run(*pinned(SERVERS, service.production / "python", "-c", BARE_IMPORT))
        imports.append(time.perf_counter() - started)
        for start, seconds, sizes in ((service.bare, bare, bare_memory), (service.serving, ours, memory)):
            with start() as server:
                seconds.append(server.seconds)
                sizes.append(server.resident() / MEBIBYTE)
    del ours[0], bare[0], imports[0]  # the first read everything from the disk
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    return [
        ["start to first 200", f"{spread(ours)} s", "<= 1.0"],
        ["  bare application", f"{spread(bare)} s", ""],
        [f"  {BARE_IMPORT}", f"{spread(imports)} s", ""],
        ["  ratio to the bare application", f"{spread(ratios)} x", ""],
        ["resident memory at rest", f"{spread(memory, '{:.0f}')} MiB", "<= 110"],
        ["  bare application", f"{spread(bare_memory, '{:.0f}')} MiB", ""],
    ]


def measure(service: Service, options: argparse.Namespace) -> Iterator[list[str]]:
    with service.database() as execute:
        yield from starts(service, options.rounds)
        if options.granian:
            service.add("granian")
            with service.granian() as other, service.serving() as ours:
                yield from compare(other, ours, options.rounds, options.seconds, ("granian", "uvicorn"))
            return
        with service.bare() as bare, service.serving() as ours:
            yield from compare(ours, bare, options.rounds, options.seconds, ("service", "bare"))
            yield ["memory after these requests", f"{ours.resident() / MEBIBYTE:.0f} MiB", ""]
        with service.serving() as ours:
            yield from export(ours, execute)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each side (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=4, help="length of a run (default: %(default)s)")
    parser.add_argument("--granian", action="store_true", help="compare the service on granian and on uvicorn instead")
    parser.add_argument("--service", type=Path, help="a rendered service, instead of a fresh render")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is missing; install it, for example by: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="bench-") as room:
        service = Service(options.service.resolve()) if options.service else Service.render(Path(room))
        table(["what", "median (lowest-highest)", "target"], *measure(service, options))


if __name__ == "__main__":
    main()
