"""Workers of installed renders finish every job, although workers are killed and PostgreSQL stops."""

import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Project, once
from questionnaire import PROFILES, Answers, choices
from test_faults import Database, wait_for

pytestmark = pytest.mark.deep

log = logging.getLogger(__name__)  # `pytest --log-cli-level=info` shows the measurements

JOBS = 40
PATIENCE = 120.0
"""Time limit for all jobs, with the back-off of retries and a busy machine."""

TASK = '''"""Jobs that can be counted."""

import asyncio
import os

import psycopg

from app.core.jobs import BACKOFF, queue


@queue.task(name="counted.note", retry=BACKOFF)
async def note(key: int) -> None:
    """Take a moment, then leave an effect that is the same the second time, and a trace of the attempt."""
    await asyncio.sleep(0.3)
    async with await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"]) as connection:
        await connection.execute("INSERT INTO attempts VALUES (%s)", [key])
        await connection.execute("INSERT INTO effects VALUES (%s) ON CONFLICT DO NOTHING", [key])
'''

ENQUEUE = """
    SELECT count(procrastinate_defer_jobs_v1(ARRAY[
        ROW('default', '{task}', 0, NULL, NULL, '{arguments}'::jsonb || {more}, NULL)::procrastinate_job_to_defer_v1
    ])) FROM generate_series(1, {count}) AS n
"""


class Workers:
    """A service with one more slice, its database, and the started workers."""

    def __init__(self, project: Project, folder: Path) -> None:
        shutil.copytree(project.path / "src", folder / "src")
        counted = folder / "src/app/counted"
        counted.mkdir()
        (counted / "__init__.py").write_text('"""Jobs that can be counted."""\n')
        (counted / "jobs.py").write_text(TASK)
        self.folder = folder
        self.python = project.python()
        self.database = Database(project, folder / "database")
        socket = Path(self.database.socket)
        self.environment = {
            **project.environment,
            "PYTHONPATH": str(folder / "src"),
            "DATABASE_URL": f"postgresql://postgres@/faults?host={socket.parent}&port={socket.suffix[1:]}",
            "WORKER_CONCURRENCY": "3",
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        self.log = (folder / "workers.log").open("wb")

    def run(self, *arguments: str) -> None:
        Project(self.folder, self.environment).run(self.python, "-m", *arguments)

    def sql(self, statement: str) -> str:
        return str(self.database.act("sql", statement)).strip()

    def enqueue(self, task: str, count: int, arguments: str = "{}", more: str = "'{}'") -> None:
        self.sql(ENQUEUE.format(task=task, count=count, arguments=arguments, more=more))

    def start(self) -> subprocess.Popen[bytes]:
        """Start a worker and wait until it has registered itself."""
        before = self.sql("SELECT count(*) FROM procrastinate_workers")
        process = subprocess.Popen(
            (self.python, "-m", "app", "worker"),
            cwd=self.folder,
            env=self.environment,
            stdout=self.log,
            stderr=self.log,
        )
        self.processes.append(process)
        wait_for(lambda: self.sql("SELECT count(*) FROM procrastinate_workers") != before, 60)
        return process

    def count(self, status: str, more: str = "true") -> int:
        where = f"task_name = 'counted.note' AND status = '{status}' AND {more}"
        return int(self.sql(f"SELECT count(*) FROM procrastinate_jobs WHERE {where}"))  # noqa: S608 -- a constant of this file

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait(timeout=30)
        self.database.close()
        self.log.close()


def with_jobs() -> dict[str, Answers]:
    """Return a profile of each framework."""
    found: dict[str, tuple[str, Answers]] = {}
    for name, answers in PROFILES.items():
        if "jobs" in answers.get("features", ""):
            found.setdefault(answers.get("framework", "fastapi"), (name, answers))
    return dict(found.values())


@pytest.fixture(params=once(with_jobs()))
def workers(installed: Callable[..., Project], request: pytest.FixtureRequest, workshop: Path) -> Iterator[Workers]:
    folder = workshop / f"workers-{request.param.get('framework', 'fastapi')}"
    folder.mkdir()
    workers = Workers(installed(**request.param), folder)
    yield workers
    workers.close()
    log.debug((folder / "workers.log").read_text())  # pytest shows it if the test fails


def test_job_faults_cover_both_frameworks() -> None:
    assert {given.get("framework", "fastapi") for given in with_jobs().values()} == {*choices("framework")}


def test_no_job_is_lost_after_crashes(workers: Workers) -> None:
    workers.run("app", "migrate")
    workers.sql("CREATE TABLE attempts (key int); CREATE TABLE effects (key int PRIMARY KEY)")
    killed = workers.start()
    number = workers.sql("SELECT max(id) FROM procrastinate_workers")
    survivor = workers.start()
    workers.enqueue("counted.note", JOBS, more="jsonb_build_object('key', n)")
    started = time.monotonic()

    wait_for(lambda: workers.count("doing", f"worker_id = {number}"))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert workers.count("succeeded") < JOBS

    workers.database.act("stop")
    time.sleep(2)
    workers.database.act("start")
    assert survivor.poll() is None, "the worker must survive a lost database"

    # Make the heartbeat old instead of waiting 30 s. `jobs.retry_stalled` runs once a minute.
    silence = "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 minute' WHERE id = "
    workers.sql(silence + number)
    rescues = 0

    def all_done() -> bool:
        nonlocal rescues
        if time.monotonic() - started > rescues * 5:
            workers.enqueue("jobs.retry_stalled", 1, '{"timestamp": 0}')
            rescues += 1
        return workers.count("succeeded") == JOBS

    wait_for(all_done, PATIENCE)
    seconds = time.monotonic() - started
    assert workers.sql("SELECT count(*) FROM effects") == str(JOBS)
    attempts = int(workers.sql("SELECT count(*) FROM attempts"))
    log.info("%d jobs in %.1f s, %d done twice", JOBS, seconds, attempts - JOBS)
    assert attempts >= JOBS

    workers.enqueue("counted.note", 3, more="jsonb_build_object('key', n + 1000)")
    wait_for(lambda: workers.count("doing") > 0)
    survivor.terminate()
    assert survivor.wait(timeout=60) == os.EX_OK
    assert workers.count("doing") == 0, "a running job must finish"
