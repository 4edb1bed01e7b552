"""A service behind PgBouncer in transaction mode: migrations, requests at the same time, exports and workers."""

import os
import pwd
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import httpx2
import pytest
from conftest import Project, once
from questionnaire import PROFILES
from test_contract import PASSWORD, free_port
from test_faults import Database, Network, Service

pytestmark = pytest.mark.deep

WITH_JOBS = [
    next(
        name
        for name, answers in PROFILES.items()
        if answers.get("framework", "fastapi") == framework and "jobs" in answers.get("features", "")
    )
    for framework in ("fastapi", "django")
]
SERVER_CONNECTIONS = 3
"""Fewer server connections than clients, so that each statement may run on another connection."""

CALLERS = 16
PERSONS = 48


class Pooler:
    """A running PgBouncer in front of a database."""

    def __init__(self, database: Database, folder: Path) -> None:
        server = Path(database.socket).parent
        # PgBouncer cannot run as root: run it as the owner of the data folder, who can access the socket.
        owner = pwd.getpwuid(server.resolve().stat().st_uid).pw_name
        folder.mkdir()
        folder.chmod(0o755)
        self.port = free_port()
        configuration = folder / "pgbouncer.ini"
        configuration.write_text(
            f"""
[databases]
faults = host={server} port={Path(database.socket).suffix[1:]} user=postgres pool_size={SERVER_CONNECTIONS}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
"""
        )
        as_owner = ["-u", owner] if os.geteuid() == 0 else []
        self.process = subprocess.Popen(["pgbouncer", "-q", *as_owner, configuration])

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)


@pytest.fixture(params=once({name: PROFILES[name] for name in WITH_JOBS}))
def pooled(installed: Callable[..., Project], request: pytest.FixtureRequest, workshop: Path) -> Iterator[Service]:
    project = installed(**request.param)
    folder = workshop / f"pooled-{project.path.parent.name}"
    database = Database(project, folder)
    pooler = Pooler(database, folder.with_suffix(".pooler"))
    service = Service(project, database, cast("Network", pooler))  # it needs the port alone
    unlimited = dict.fromkeys(("LOGIN_ADDRESS_RATE", "REGISTRATION_RATE"), "10000/minute")
    service.environment |= {"DATABASE_POOLER": "true", "DATABASE_POOL_SIZE": str(CALLERS)} | unlimited
    yield service
    service.client.close()
    service.log.close()
    pooler.close()
    database.close()


def test_service_works_behind_a_pooler(pooled: Service) -> None:
    pooled.run("migrate")
    pooled.run("migrate")
    pooled.run("user", "--admin", "root@example.com", said=f"{PASSWORD}\n")
    pooled.start()
    worker = subprocess.Popen(
        (pooled.python, "-m", "app", "worker"), cwd=pooled.project.path, env=pooled.environment, stdout=pooled.log
    )
    try:
        with ThreadPoolExecutor(CALLERS) as threads:
            statuses = list(threads.map(lambda number: story(pooled.client, number), range(PERSONS)))
        assert statuses == [[201, 200, *[200] * 8]] * PERSONS
        form = {"grant_type": "password", "username": "root@example.com", "password": PASSWORD}
        token = pooled.client.post("/api/v1/auth/token", data=form).json()["access_token"]
        export = pooled.client.get("/api/v1/users/export", headers={"Authorization": f"Bearer {token}"})
        assert len(export.text.splitlines()) >= PERSONS + 1
        undone = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing') AND scheduled_at IS NULL"
        end = time.monotonic() + 120
        while pooled.database.act("sql", undone).strip() != "0":
            assert time.monotonic() < end, "jobs are not done"
            time.sleep(0.1)
        failed = "SELECT count(*) FROM procrastinate_jobs WHERE status NOT IN ('succeeded', 'todo')"
        assert pooled.database.act("sql", failed).strip() == "0"
    finally:
        worker.terminate()
        worker.wait(timeout=60)
        pooled.process.terminate()
        pooled.process.wait(timeout=60)


def story(client: httpx2.Client, number: int) -> list[int]:
    """Register, log in and read; return the statuses."""
    body = {"name": f"Person {number}", "email": f"person{number}@example.com", "password": PASSWORD}
    made = client.post("/api/v1/users", json=body)
    form = {"grant_type": "password", "username": body["email"], "password": PASSWORD}
    token = client.post("/api/v1/auth/token", data=form)
    headers = {"Authorization": f"Bearer {token.json()['access_token']}"}
    read = [client.get("/api/v1/users/me", headers=headers).status_code for _ in range(8)]
    return [made.status_code, token.status_code, *read]
