"""Cost of a rendered service compared with a bare application of its framework, on the same database.

    uv run python benchmarks/serving.py [--framework django] [--rounds 5] [--seconds 4] [--servers] [--service FOLDER]

Renders the service with everything on, installs it as in production, and starts both as one process each, with an
embedded PostgreSQL. With two cores, the servers have one core for themselves; wrk and PostgreSQL share the others. Runs
alternate. Each ratio compares two adjacent runs, so that other load changes the ratio less than the spread. The CPU
time of a request, printed beside the rates, depends little on other load. Linux only; needs wrk.
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
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import urlencode

from common import ENVIRONMENT, UV, copier, copy_template, everything, run, spread, table

HERE = Path(__file__).parent
ADMIN = "admin@example.com"
PASSWORD = secrets.token_urlsafe()
LOG_IN = "/api/v1/auth/token"
FORM = urlencode({"grant_type": "password", "username": ADMIN, "password": PASSWORD})
FORM_TYPE = "application/x-www-form-urlencoded"
CONNECTIONS = 32
CONCURRENT_LOG_INS = 4
"""More would wait for a hash, and the service refuses those that wait too long."""
POOL_SIZE = 20
EXPORTED = 1_000_000
MEBIBYTE = 2**20
TIMEOUT = 2

CORES = sorted(os.sched_getaffinity(0))
SERVERS, CLIENTS = (CORES[:1], CORES[1:]) if len(CORES) > 1 else (CORES, CORES)


def pinned(cores: Sequence[int], *command: str | Path) -> list[str]:
    return ["taskset", "--cpu-list", ",".join(map(str, cores)), *map(str, command)]


class Floor(NamedTuple):
    """A request, the bare application that also answers it, and the minimum ratio of their rates."""

    path: str
    command: tuple[str | Path, ...]
    target: float
    form: bool = False
    """True if the request is a POST with the form of a log-in."""


class Framework(NamedTuple):
    """Parameters of the benchmark for one framework. Commands are programs of the service's virtual environment."""

    floors: tuple[Floor, ...]
    bare_import: str
    server: str
    other: str
    other_command: tuple[str, ...]
    needs: tuple[str, ...]
    """Packages that only the benchmark installs."""


FASTAPI_FLOOR = ("python", HERE / "floor.py")
GRANIAN = ("granian", "--interface=wsgi", f"--blocking-threads={5 * POOL_SIZE + 4}", "--no-ws", "--no-log")
GUNICORN = ("gunicorn", "--workers=1", "--no-control-socket", "--log-level=warning")
FRAMEWORKS = {
    "fastapi": Framework(
        floors=(
            Floor("/health/live", FASTAPI_FLOOR, 0.75),
            Floor("/api/v1/users/1", FASTAPI_FLOOR, 1.0),
            Floor(LOG_IN, FASTAPI_FLOOR, 0.8, form=True),
        ),
        bare_import="import fastapi, sqlalchemy.ext.asyncio",
        server="uvicorn",
        other="granian",
        other_command=(
            *("granian", "--interface=asgi", "--factory", "--loop=uvloop", "--no-ws", "--log-level=warning"),
            "app.main:create_app",
        ),
        needs=("granian",),
    ),
    "django": Framework(
        floors=(
            Floor("/health/live", (*GRANIAN, "django_floor:application"), 0.7),
            Floor("/api/v1/users/1", (*GUNICORN, "--worker-class=sync", "django_floor:application"), 1.0),
            Floor(LOG_IN, (*GRANIAN, "django_floor:application"), 0.8, form=True),
        ),
        bare_import="import django.core.wsgi, django.db.models, psycopg",
        server="uvicorn",
        other="gunicorn gthread",
        other_command=(
            *GUNICORN,
            "--worker-class=gthread",
            f"--threads={POOL_SIZE}",
            "app.core.http.application:application",
        ),
        needs=("granian", "gunicorn"),
    ),
}


class Server(NamedTuple):
    """A serving process, and the seconds from its start to its first 200."""

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
                if process.poll() is not None or time.perf_counter() - started > 300:
                    process.kill()
                    sys.exit(f"{command[0]} does not serve:\n{Path(log.name).read_text()}")
                time.sleep(0.005)
            yield cls(process, port, time.perf_counter() - started)
        finally:
            process.terminate()
            process.wait()

    def resident(self) -> int:
        """Return the resident memory of all processes of the server in bytes. Shared memory counts once."""
        maps = [Path(f"/proc/{pid}/smaps_rollup").read_text("ascii") for pid in self.processes()]
        own = [_kilobytes(text, "Private_Clean") + _kilobytes(text, "Private_Dirty") for text in maps]
        return (sum(own) + max(_kilobytes(text, "Rss") - mine for text, mine in zip(maps, own, strict=True))) * 1024

    def peak(self) -> int:
        """Return the maximum memory of all its processes since `forget_peak`; shared memory counts for each."""
        status = [Path(f"/proc/{pid}/status").read_text("ascii") for pid in self.processes()]
        return sum(_kilobytes(text, "VmHWM") for text in status) * 1024

    def forget_peak(self) -> int:
        """Reset the maximum to the current memory, and return it."""
        for pid in self.processes():
            Path(f"/proc/{pid}/clear_refs").write_text("5", "ascii")
        return self.peak()

    def worked(self) -> float:
        """Return the CPU seconds of its processes."""
        status = [Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split() for pid in self.processes()]
        return sum(int(fields[11]) + int(fields[12]) for fields in status) / os.sysconf("SC_CLK_TCK")

    def processes(self) -> list[int]:
        """Return the started process and its children: granian and gunicorn supervise the serving process."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text("ascii")
        return [self.process.pid, *map(int, children.split())]


def _kilobytes(status: str, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
    assert found
    return int(found[1])


type Running = AbstractContextManager[Server]


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
    """A measurement of wrk."""

    rate: float
    p50: float
    p99: float
    work: float
    """CPU milliseconds of the server's processes for a request."""

    @classmethod
    def put(cls, server: Server, floor: Floor, seconds: int, token: str = "") -> Self:
        connections = CONCURRENT_LOG_INS if floor.form else CONNECTIONS
        command = ["wrk", "--threads=1", f"--connections={connections}", f"--duration={seconds}s", "--latency"]
        command += [f"--script={HERE / 'log_in.lua'}"] if floor.form else [f"--header=Authorization: Bearer {token}"]
        url = f"http://127.0.0.1:{server.port}{floor.path}"
        before = server.worked()
        said = run(*pinned(CLIENTS, *command, url, *(("--", FORM_TYPE, FORM) if floor.form else ())))
        worked = server.worked() - before
        if "Non-2xx" in said or "Socket errors" in said:
            sys.exit(f"{floor.path} failed under load:\n{said}")
        rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
        count = re.search(r"(\d+) requests in", said)
        assert rate
        assert count
        p50, p99 = (_milliseconds(said, percent) for percent in (50, 99))
        return cls(float(rate[1]), p50, p99, worked * 1000 / int(count[1]))


def _milliseconds(said: str, percent: int) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m) *$", said, re.MULTILINE)
    assert found
    return float(found[1]) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}[found[2]]


class Service:
    """A rendered service, installed twice: as in production, and with the embedded PostgreSQL."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.framework = FRAMEWORKS["django" if (folder / "manage.py").exists() else "fastapi"]
        self.production = folder / ".venv-production" / "bin"
        run(UV, "sync", "--quiet", folder=folder)
        # Compile bytecode at installation, as the image does, so that the start time excludes it.
        self._uv("sync", "--quiet", "--no-dev", "--compile-bytecode")
        python = str(self.production / "python")
        self._uv("pip", "install", "--quiet", "--python", python, "--compile-bytecode", *self.framework.needs)
        self.environment = ENVIRONMENT | {
            "ENVIRONMENT": "production",
            "SECRET_KEY": secrets.token_urlsafe(48),
            "PAYMENTS_SECRET": secrets.token_hex(32),
            "SMTP_URL": "smtps://mail.example.com",
            "MAIL_FROM": "service@example.com",
            "ALLOWED_HOSTS": "127.0.0.1",
            "DATABASE_POOL_SIZE": str(POOL_SIZE),
            "LOGIN_RATE": "100000/minute",
            "PYTHONPATH": str(HERE),
        }

    @classmethod
    def render(cls, parent: Path, framework: str) -> Self:
        copy_template(parent / "template")
        options = [*everything(), f"--data=framework={framework}"]
        run(*copier(parent / "template", parent / "service", *options), folder=parent)
        return cls(parent / "service")

    def _uv(self, *arguments: str) -> None:
        environment = ENVIRONMENT | {"UV_PROJECT_ENVIRONMENT": str(self.production.parent)}
        subprocess.run([UV, *arguments], cwd=self.folder, env=environment, check=True)

    @contextmanager
    def database(self) -> Iterator[Callable[[str], None]]:
        """Start PostgreSQL with migrated, empty tables. Yield a function that runs a statement there."""
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

    def serving(self, *, by: Sequence[str | Path] = ("python", "-m", "app", "serve")) -> Running:
        """Start the service, with the production command or another."""
        program, *arguments = by
        return Server.started(self.folder, self.environment, self.production / program, *arguments)

    def bare(self, floor: Floor) -> Running:
        return self.serving(by=floor.command)


def log_in(server: Server) -> str:
    status, body = request(server.port, "POST", LOG_IN, FORM, {"Content-Type": FORM_TYPE})
    if status != 200:
        sys.exit(f"the log-in answers {status}: {body.decode()}")
    token: str = json.loads(body)["access_token"]
    return token


def compare(
    floor: Floor, ours: Server, theirs: Server, names: tuple[str, str], options: argparse.Namespace
) -> list[list[str]]:
    """Send the same request to both, alternately."""
    target = f">= {floor.target}" if floor.target else ""
    method = "POST" if floor.form else "GET"
    token = log_in(ours)
    for server in (ours, theirs):
        Load.put(server, floor, 1, token)  # warm-up: pool and caches
    pairs = [
        [Load.put(server, floor, options.seconds, token) for server in (theirs, ours)] for _ in range(options.rounds)
    ]
    loads = [one for _, one in pairs], [other for other, _ in pairs]
    rows: list[list[str]] = []
    for name, measured in zip(names, loads, strict=True):
        rows += [
            [f"{method} {floor.path}, {name}", f"{spread([load.rate for load in measured], '{:.0f}')} req/s", ""],
            ["  p50 and p99", f"{_latencies(measured)} ms", ""],
            ["  work of a core", f"{spread([load.work for load in measured])} ms", ""],
        ]
    return [
        *rows,
        ["  ratio", f"{spread([one.rate / other.rate for other, one in pairs])} x", target],
        ["  ratio of the work, inverted", f"{spread([other.work / one.work for other, one in pairs])} x", target],
        ["  p99 / p50", f"{spread([load.p99 / load.p50 for load in loads[0]])} x", "<= 3"],
    ]


def _latencies(loads: Sequence[Load]) -> str:
    return " and ".join(spread([getattr(load, name) for load in loads], "{:.1f}") for name in ("p50", "p99"))


def add_users(execute: Callable[[str], None]) -> None:
    execute(
        "INSERT INTO users (name, email, password)"
        " SELECT 'User ' || n, 'user' || n || '@example.com', 'none' FROM generate_series(1, 1000000) AS n"
    )
    execute("VACUUM ANALYZE users")


def export(server: Server) -> list[list[str]]:
    """Measure an export of a million users by a process that was just started."""
    token = log_in(server)
    before = server.forget_peak()
    started = time.perf_counter()
    with exporting(server, token) as response:
        first = response.read(1)
        first_byte = time.perf_counter() - started
        lines = first.count(b"\n") + rest(response)
        seconds = time.perf_counter() - started
        peak = server.peak()
    if lines != EXPORTED + 1:
        sys.exit(f"The export ended after {lines} of {EXPORTED + 1} users.")
    return [
        [f"export of {EXPORTED:,} users, first byte", f"{first_byte * 1000:.0f} ms", "<= 100"],
        ["  memory grows by", f"{(peak - before) / MEBIBYTE:.1f} MiB", "< 40"],
        ["  speed", f"{lines / seconds:.0f} rows/s", ""],
    ]


@contextmanager
def exporting(server: Server, token: str) -> Iterator[http.client.HTTPResponse]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port)) as connection:
        connection.request("GET", "/api/v1/users/export", headers={"Authorization": f"Bearer {token}"})
        yield connection.getresponse()


def rest(response: http.client.HTTPResponse) -> int:
    """Count the lines until the end, or until the server closes the connection."""
    lines = 0
    try:
        while chunk := response.read1(MEBIBYTE):
            lines += chunk.count(b"\n")
    except (OSError, http.client.HTTPException):
        pass
    return lines


def stop(server: Server) -> list[list[str]]:
    """Send SIGTERM during an export."""
    with exporting(server, log_in(server)) as response:
        lines = response.read(MEBIBYTE).count(b"\n")
        server.process.terminate()
        lines += rest(response)
    started = time.perf_counter()
    server.process.wait()
    return [
        ["SIGTERM within the export: users that arrive", f"{lines / (EXPORTED + 1):.0%}", "100%"],
        ["  end after it", f"{time.perf_counter() - started:.1f} s", ""],
    ]


def wait(server: Server, execute: Callable[[str], None]) -> list[list[str]]:
    """Lock a table, send twice as many reads of it as the pool has connections, and measure a probe meanwhile."""
    token = log_in(server)
    answered: list[tuple[int, float]] = []

    def ask(path: str) -> tuple[int, float]:
        started = time.perf_counter()
        status, _ = request(server.port, "GET", path, headers={"Authorization": f"Bearer {token}"})
        return status, time.perf_counter() - started

    lock = f"BEGIN; LOCK TABLE users; SELECT pg_sleep({4 * TIMEOUT}); COMMIT"
    threads = [threading.Thread(target=execute, args=(lock,))]
    threads += [threading.Thread(target=lambda: answered.append(ask("/api/v1/users/1"))) for _ in range(2 * POOL_SIZE)]
    for thread in threads:
        thread.start()
        time.sleep(0.5 if thread is threads[0] else 0)
    time.sleep(TIMEOUT / 2)
    _, probed = ask("/health/live")
    for thread in threads:
        thread.join()
    statuses = sorted({status for status, _ in answered})
    return [
        [f"{2 * POOL_SIZE} readers of a locked table, limit {TIMEOUT} s", f"{statuses}", "[503]"],
        ["  the last answer", f"{max(seconds for _, seconds in answered):.1f} s", f"<= {2 * TIMEOUT}"],
        ["  GET /health/live meanwhile", f"{probed:.1f} s", ""],
    ]


def starts(service: Service, rounds: int) -> list[list[str]]:
    """Start the service, the bare application and a bare import alternately."""
    ours: list[float] = []
    bare: list[float] = []
    imports: list[float] = []
    memory: list[float] = []
    bare_memory: list[float] = []
    bare_import = service.framework.bare_import
    for _ in range(rounds + 1):
        started = time.perf_counter()
        run(*pinned(SERVERS, service.production / "python", "-c", bare_import))
        imports.append(time.perf_counter() - started)
        for running, seconds, sizes in (
            (service.bare(service.framework.floors[0]), bare, bare_memory),
            (service.serving(), ours, memory),
        ):
            with running as server:
                seconds.append(server.seconds)
                sizes.append(server.resident() / MEBIBYTE)
    del ours[0], bare[0], imports[0]  # the first start reads from the disk
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    return [
        ["start to first 200", f"{spread(ours)} s", "<= 1.0"],
        ["  bare application", f"{spread(bare)} s", ""],
        [f"  {bare_import}", f"{spread(imports)} s", ""],
        ["  ratio to the bare application", f"{spread(ratios)} x", ""],
        ["resident memory at rest", f"{spread(memory, '{:.0f}')} MiB", "<= 110"],
        ["  bare application", f"{spread(bare_memory, '{:.0f}')} MiB", ""],
    ]


def measure(service: Service, options: argparse.Namespace) -> Iterator[list[str]]:
    with service.database() as execute:
        yield from starts(service, options.rounds)
        for floor in service.framework.floors:
            with service.bare(floor) as bare, service.serving() as ours:
                names = "service", f"bare on {Path(floor.command[0]).name}"
                yield from compare(floor, ours, bare, names, options)
                yield ["memory after these requests", f"{ours.resident() / MEBIBYTE:.0f} MiB", ""]
        add_users(execute)
        with service.serving() as ours:
            yield from export(ours)


def servers(service: Service, options: argparse.Namespace) -> Iterator[list[str]]:
    """Compare the service's server with another one."""
    framework = service.framework
    names = framework.other, framework.server
    commands: dict[str, dict[str, Sequence[str | Path]]] = {framework.other: {"by": framework.other_command}}
    with service.database() as execute:
        with service.serving(by=framework.other_command) as other, service.serving() as ours:
            for floor in framework.floors:
                yield from compare(floor._replace(target=0), other, ours, names, options)
        add_users(execute)
        service.environment["DATABASE_TIMEOUT_SECONDS"] = str(TIMEOUT)
        for name in names:
            with service.serving(**commands.get(name, {})) as server:
                yield [name, "", ""]
                yield ["memory at rest", f"{server.resident() / MEBIBYTE:.0f} MiB", ""]
                yield from export(server)
                yield from wait(server, execute)
                yield from stop(server)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each side (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=4, help="length of a run (default: %(default)s)")
    parser.add_argument(
        "--framework", choices=FRAMEWORKS, default="fastapi", help="of the render (default: %(default)s)"
    )
    parser.add_argument("--servers", action="store_true", help="compare the service's server with another instead")
    parser.add_argument("--service", type=Path, help="a rendered service, instead of a fresh render")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("Missing program wrk: install it, for example with `apt-get install wrk`.")
    with tempfile.TemporaryDirectory(prefix="bench-") as parent:
        service = (
            Service(options.service.resolve()) if options.service else Service.render(Path(parent), options.framework)
        )
        rows = (servers if options.servers else measure)(service, options)
        table(["what", "median (lowest-highest)", "target"], *rows)


if __name__ == "__main__":
    main()
