"""The job queue, its workers and its commands."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import ModuleType
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Job
from procrastinate.manager import JobManager
from procrastinate.psycopg_connector import PsycopgConnector

from app.core.cli.main import main
from app.core.config import ConfigError
from app.core.jobs import BACKOFF, PermanentError, commands, queue
from app.core.jobs.deferring import ORIGIN, written
from app.core.jobs.jobs import MAX_ATTEMPTS
from app.core.jobs.settings import Settings
from app.core.jobs.worker import work
from app.core.slices import import_all
from tests.core.jobs.conftest import DoAllJobs, Enqueue, Sql
from tests.core.jobs.engine import NIGHTLY
from tests.core.observability.collector import PARENT, TRACE, collecting, values

TOKENS = "accounts.delete_expired_tokens"
ADA = {"name": "Ada Lovelace", "email": "ada@example.com", "password": "engine no. 1"}

done: list[str] = []

import_all("jobs")


@queue.task(name="tests.note")
async def note(text: str) -> None:
    done.append(text)


@queue.task(name="tests.note_in_a_thread")
def note_in_a_thread(text: str) -> None:
    """A blocking task, which a worker runs in a thread."""
    done.append(text)


@queue.task(name="tests.fail", retry=1)
async def fail() -> None:
    done.append("tried")
    raise ConnectionError("no answer")


@queue.task(name="tests.fail_while_another_waits", retry=1, queueing_lock="only-one")
async def fail_while_another_waits() -> None:
    """A task that enqueues a job with its queueing lock, then fails."""
    await note.configure(queueing_lock="only-one").defer_async(text="the other")
    raise ConnectionError("no answer")


@queue.task(name="tests.meet")
def meet() -> None:
    """A task that blocks until all parties of `gate` run concurrently."""
    gate.wait(10)
    done.append("met")


gate = threading.Barrier(40)


@queue.task(name="tests.fail_for_good", retry=BACKOFF)
async def fail_for_good() -> None:
    raise PermanentError("no such recipient")


@queue.task(name="tests.wait_until_cancelled")
async def wait_until_cancelled() -> None:
    """A task that runs until it is cancelled."""
    done.append("begun")
    try:
        await asyncio.Event().wait()
    finally:
        done.append("stopped")


def command(arguments: list[str]) -> None:
    """Run `python -m app jobs …`, but not by `main`: signal handlers need the main thread."""
    parser = ArgumentParser()
    commands.add(parser.add_subparsers())
    options = parser.parse_args(["jobs", *arguments])
    options.run(options)


@pytest.fixture(autouse=True)
def _forget_what_was_done() -> None:
    done.clear()


class TestEnqueue:
    async def test_rolled_back_request_enqueues_nothing(
        self,
        committing_async_client: httpx2.AsyncClient,
        on_registration: Callable[..., None],
        sql: Sql,
        waiting: Callable[[], list[str]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def broken(*_: Any, **__: Any) -> str:
            assert sql("SELECT count(*) FROM users") == [{"count": 0}], "nothing is committed yet"
            raise RuntimeError("after the user was stored")

        on_registration(note, text="registered")
        monkeypatch.setattr("app.core.accounts.routes.reverse", broken)
        assert (await committing_async_client.post("/api/v1/users", json=ADA)).status_code == 500
        assert waiting() == []
        monkeypatch.undo()
        assert (await committing_async_client.post("/api/v1/users", json=ADA)).status_code == 201
        assert waiting() == ["tests.note"]
        assert (await committing_async_client.post("/api/v1/users", json=ADA)).status_code == 409
        assert waiting() == ["tests.note"]

    async def test_job_log_has_request_id(
        self,
        committing_async_client: httpx2.AsyncClient,
        on_registration: Callable[..., None],
        sql: Sql,
        do_all_jobs: DoAllJobs,
    ) -> None:
        on_registration(note, text="registered")
        await committing_async_client.post("/api/v1/users", json=ADA, headers={"X-Request-ID": "the-request-17"})
        [job] = [line for line in await do_all_jobs() if line["task"] == "tests.note"]
        assert (job["event"], job["done"], job["attempt"]) == ("job", True, 1)
        assert job["request_id"] == "the-request-17"

    def test_job_has_trace_context_of_its_request(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(
            sys.modules, "opentelemetry.sdk", ModuleType("opentelemetry.sdk")
        )  # as if traces were enabled
        span = SpanContext(int(TRACE, 16), int(PARENT, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
        with use_span(NonRecordingSpan(span)):
            [job] = json.loads(written(note, {"text": "traced"}))
        assert job["args"]["text"] == "traced"
        assert job["args"][ORIGIN]["traceparent"] == f"00-{TRACE}-{PARENT}-01"

    async def test_jobs_run_by_priority_and_order(self, enqueue: Enqueue, sql: Sql, do_all_jobs: DoAllJobs) -> None:
        await enqueue(
            (note, {"text": "one"}), (note.configure(priority=5), {"text": "urgent"}), (note, {"text": "two"})
        )
        await do_all_jobs(concurrency=1)
        assert done == ["urgent", "one", "two"]

    async def test_blocking_task_runs_in_a_thread(self, enqueue: Enqueue, sql: Sql, do_all_jobs: DoAllJobs) -> None:
        await enqueue((note_in_a_thread, {"text": "blocked"}))
        await do_all_jobs()
        assert done == ["blocked"]

    async def test_scheduled_job_waits(
        self, enqueue: Enqueue, waiting: Callable[[], list[str]], do_all_jobs: DoAllJobs
    ) -> None:
        await enqueue((note.configure(schedule_in={"hours": 1}), {"text": "later"}))
        await do_all_jobs()
        assert waiting() == ["tests.note"]
        assert done == []

    async def test_second_unique_job_is_refused(
        self, enqueue: Enqueue, waiting: Callable[[], list[str]], do_all_jobs: DoAllJobs
    ) -> None:
        unique = note.configure(queueing_lock="only-one")
        await enqueue((unique, {"text": "first"}))
        with pytest.raises(AlreadyEnqueued, match=r"^only-one is enqueued already"):
            await enqueue((note, {"text": "rolled back with the other"}), (unique, {"text": "second"}))
        assert waiting() == ["tests.note"]
        await do_all_jobs()
        await enqueue((unique, {"text": "third"}))
        await do_all_jobs()
        assert done == ["first", "third"]


class TestFailure:
    async def test_failed_job_is_retried_then_given_up(
        self, enqueue: Enqueue, sql: Sql, do_all_jobs: DoAllJobs
    ) -> None:
        [identity] = await enqueue((fail, {}))
        lines = [line for line in await do_all_jobs() if line["task"] == "tests.fail"]
        assert [line["attempt"] for line in lines if line["event"] == "job failed"] == [1, 2]
        assert lines[0]["error"] == "ConnectionError: no answer"
        assert done == ["tried", "tried"]
        assert sql("SELECT status::text FROM procrastinate_jobs WHERE id = %s", identity) == [{"status": "failed"}]

    async def test_permanent_error_is_not_retried(self, enqueue: Enqueue, sql: Sql, do_all_jobs: DoAllJobs) -> None:
        [identity] = await enqueue((fail_for_good, {}))
        await do_all_jobs()
        assert sql("SELECT status::text FROM procrastinate_jobs WHERE id = %s", identity) == [{"status": "failed"}]

    async def test_failed_job_is_superseded_by_waiting_job(
        self, enqueue: Enqueue, sql: Sql, do_all_jobs: DoAllJobs
    ) -> None:
        [identity] = await enqueue((fail_while_another_waits, {}))
        lines = await do_all_jobs(concurrency=1)  # so that the other job waits until this job has failed
        assert sql("SELECT status::text FROM procrastinate_jobs WHERE id = %s", identity) == [{"status": "failed"}]
        assert [line["job_id"] for line in lines if line["event"] == "job superseded"] == [identity]
        assert done == ["the other"]

    async def test_superseded_stalled_job_does_not_block_others(
        self, enqueue: Enqueue, sql: Sql, do_all_jobs: DoAllJobs
    ) -> None:
        unique = note.configure(queueing_lock="only-one", lock="one-at-a-time")
        stalled = await enqueue((unique, {"text": "stalled"}), (note, {"text": "stalled too"}))
        sql("UPDATE procrastinate_jobs SET status = 'doing'")
        waiting = await enqueue((unique, {"text": "waiting"}), (queue.tasks["jobs.retry_stalled"], {"timestamp": 0}))
        lines = await do_all_jobs()
        assert [line["job_id"] for line in lines if line["event"] == "job superseded"] == stalled[:1]
        states = sql("SELECT status::text FROM procrastinate_jobs WHERE id = ANY(%s) ORDER BY id", stalled + waiting)
        assert [state["status"] for state in states] == ["failed", "succeeded", "succeeded", "succeeded"]
        assert sorted(done) == ["stalled too", "waiting"]


class TestRescue:
    @pytest.mark.slow
    @pytest.mark.parametrize(("attempts", "status"), [(0, "succeeded"), (MAX_ATTEMPTS, "failed")])
    async def test_job_of_dead_worker_is_rescued(
        self, enqueue: Enqueue, sql: Sql, do_all_jobs: DoAllJobs, attempts: int, status: str
    ) -> None:
        [identity] = await enqueue((note, {"text": "begun"}))
        sql("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 minute')")
        sql(
            "UPDATE procrastinate_jobs SET status = 'doing', attempts = %s,"
            " worker_id = (SELECT id FROM procrastinate_workers) WHERE id = %s",
            attempts,
            identity,
        )
        await enqueue((queue.tasks["jobs.retry_stalled"], {"timestamp": 0}))
        await do_all_jobs()
        assert sql("SELECT status::text FROM procrastinate_jobs WHERE id = %s", identity) == [{"status": status}]

    async def test_job_of_new_worker_is_not_rescued(
        self, enqueue: Enqueue, sql: Sql, do_all_jobs: DoAllJobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        [identity] = await enqueue((note, {"text": "begun"}))
        sql("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = %s", identity)
        stalled = JobManager.get_stalled_jobs

        async def get_stalled_jobs(manager: JobManager) -> Iterable[Job]:
            found = await stalled(manager)
            [worker] = sql("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")
            sql("UPDATE procrastinate_jobs SET worker_id = %s WHERE id = %s", worker["id"], identity)
            return found

        monkeypatch.setattr(JobManager, "get_stalled_jobs", get_stalled_jobs)
        await enqueue((queue.tasks["jobs.retry_stalled"], {"timestamp": 0}))
        lines = await do_all_jobs()
        assert {(line["task"], line["done"]) for line in lines if line["event"] == "job"} == {
            ("jobs.retry_stalled", True)
        }
        assert sql("SELECT status::text FROM procrastinate_jobs WHERE id = %s", identity) == [{"status": "doing"}]

    @pytest.mark.parametrize("method", ["retry_job", "finish_job"])
    async def test_job_rescued_concurrently_is_skipped(
        self, enqueue: Enqueue, sql: Sql, do_all_jobs: DoAllJobs, monkeypatch: pytest.MonkeyPatch, method: str
    ) -> None:
        [identity] = await enqueue((note, {"text": "begun"}))
        attempts = MAX_ATTEMPTS if method == "finish_job" else 0
        sql("UPDATE procrastinate_jobs SET status = 'doing', attempts = %s WHERE id = %s", attempts, identity)
        rescued = getattr(JobManager, method)

        async def rescued_already(manager: JobManager, job: Job, *arguments: Any, **options: Any) -> None:
            if job.id == identity:
                sql("UPDATE procrastinate_jobs SET status = 'succeeded' WHERE id = %s", identity)
            await rescued(manager, job, *arguments, **options)

        monkeypatch.setattr(JobManager, method, rescued_already)
        await enqueue((queue.tasks["jobs.retry_stalled"], {"timestamp": 0}))
        lines = await do_all_jobs()
        assert {(line["task"], line["done"]) for line in lines if line["event"] == "job"} == {
            ("jobs.retry_stalled", True)
        }
        assert not [line for line in lines if line["event"] == "job rescued"]

    async def test_job_runs_again_if_its_end_is_not_recorded(
        self, enqueue: Enqueue, sql: Sql, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The database fails when the worker records the end of the job. A live worker must not keep the job."""
        finish, gone = JobManager.finish_job, [True]

        async def finish_job(*arguments: Any, **options: Any) -> None:
            if gone and options["job"].task_name == "tests.note":
                gone.clear()
                raise ConnectorException("gone")
            await finish(*arguments, **options)

        monkeypatch.setattr(JobManager, "finish_job", finish_job)
        [identity] = await enqueue((note, {"text": "done"}))
        working = asyncio.create_task(work(Settings(environment="test")))
        rescue = queue.tasks["jobs.retry_stalled"].configure(queueing_lock="tests.retry_stalled")
        try:
            async with asyncio.timeout(60):
                while not sql("SELECT 1 FROM procrastinate_jobs WHERE id = %s AND status = 'succeeded'", identity):
                    assert not working.done()
                    waiting = "queueing_lock = 'tests.retry_stalled' AND status IN ('todo', 'doing')"
                    if not sql(f"SELECT 1 FROM procrastinate_jobs WHERE {waiting}"):
                        await enqueue((rescue, {"timestamp": 0}))
                    await asyncio.sleep(0.1)
        finally:
            signal.raise_signal(signal.SIGTERM)
            await working
        assert done == ["done", "done"]


class TestPeriodicJobs:
    async def test_old_jobs_are_deleted(self, enqueue: Enqueue, sql: Sql, do_all_jobs: DoAllJobs) -> None:
        identities = await enqueue((note, {"text": "old"}), (fail, {}), (note, {"text": "new"}))
        await do_all_jobs()
        sql("UPDATE procrastinate_events SET at = at - interval '15 days' WHERE job_id = ANY(%s)", identities[:2])
        await enqueue((queue.tasks["jobs.delete_old"], {"timestamp": 0}))
        await do_all_jobs()
        left = [row["id"] for row in sql("SELECT id FROM procrastinate_jobs WHERE task_name LIKE 'tests.%%'")]
        assert left == identities[2:]

    async def test_expired_sessions_are_deleted(self, enqueue: Enqueue, sql: Sql, do_all_jobs: DoAllJobs) -> None:
        sql("INSERT INTO users (name, email, password) VALUES ('Ada', 'ada@example.com', 'none')")
        sql(
            "INSERT INTO user_sessions (user_id, address, user_agent, expires_at)"
            " SELECT id, '', days::text, now() + make_interval(days => days - 5)"
            " FROM users, unnest(ARRAY[1, 9]) AS days"
        )
        sql(
            "INSERT INTO email_tokens (purpose, digest, email, expires_at)"
            " SELECT '', lpad(number::text, 64, '0'), number::text, now() + make_interval(secs => number - 1)"
            " FROM (SELECT 3600 AS number UNION SELECT generate_series(-250, 0)) AS numbers"
        )
        await enqueue((queue.tasks[TOKENS], {"timestamp": 0}))
        await do_all_jobs()
        assert sql("SELECT user_agent AS day FROM user_sessions") == [{"day": "9"}]
        assert sql("SELECT email FROM email_tokens") == [{"email": "3600"}]

    def test_periodic_jobs_of_core_are_scheduled(self) -> None:
        periodic = queue.periodic_registry.periodic_tasks.values()
        due = {task.task.name: task.croniter.get_next(ret_type=float, start_time=0) for task in periodic}
        assert due.items() >= ({"jobs.retry_stalled": 60, "jobs.delete_old": 13_380} | NIGHTLY).items()


class TestJobsCommand:
    async def test_command_cancels_and_retries_jobs(
        self, enqueue: Enqueue, sql: Sql, do_all_jobs: DoAllJobs, capsys: pytest.CaptureFixture[str]
    ) -> None:
        cancelled, failed = await enqueue((note.configure(schedule_in={"hours": 1}), {"text": "never"}), (fail, {}))
        await do_all_jobs()
        capsys.readouterr()
        await asyncio.to_thread(command, ["list"])
        header, *listed = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
        assert header == ["id", "status", "task", "attempts", "due", "changed", "arguments"]
        assert [row[:3] for row in listed] == [
            [str(cancelled), "todo", "tests.note"],
            [str(failed), "failed", "tests.fail"],
        ]
        assert [row[6] for row in listed] == ['{"text": "never"}', "{}"]
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}Z|-", time) for row in listed for time in row[4:6])
        await asyncio.to_thread(command, ["cancel", str(cancelled)])
        await asyncio.to_thread(command, ["retry", str(failed)])
        await asyncio.to_thread(command, ["retry", str(cancelled)])
        copy = re.findall(rf"^Job {cancelled} is enqueued again as job (\d+)\.$", capsys.readouterr().out)[0]
        await asyncio.to_thread(command, ["list"])
        listed = [line.split("\t") for line in capsys.readouterr().out.splitlines()[1:]]
        assert [[*row[:3], row[6]] for row in listed] == [
            [str(cancelled), "cancelled", "tests.note", '{"text": "never"}'],
            [str(failed), "todo", "tests.fail", "{}"],
            [copy, "todo", "tests.note", '{"text": "never"}'],
        ]

    async def test_job_list_fetches_only_shown_jobs(
        self,
        enqueue: Enqueue,
        sql: Sql,
        do_all_jobs: DoAllJobs,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """Succeeded jobs are kept for 14 days, so there are many."""
        fetch, fetched = PsycopgConnector.execute_query_all_async, list[Any]()

        async def execute_query_all_async(*arguments: Any, **options: Any) -> list[dict[str, Any]]:
            rows: list[dict[str, Any]] = await fetch(*arguments, **options)
            fetched.extend(rows)
            return rows

        [_, failed] = await enqueue((note, {"text": "done"}), (fail, {}))
        await do_all_jobs()
        capsys.readouterr()
        monkeypatch.setattr(PsycopgConnector, "execute_query_all_async", execute_query_all_async)
        await asyncio.to_thread(command, ["list"])
        assert [row["id"] for row in fetched] == [failed]
        assert len(capsys.readouterr().out.splitlines()) == 2

    async def test_retry_is_refused_while_unique_job_waits(
        self, enqueue: Enqueue, sql: Sql, do_all_jobs: DoAllJobs
    ) -> None:
        unique = fail.configure(queueing_lock="only-one")
        [failed] = await enqueue((unique, {}))
        await do_all_jobs()
        await enqueue((unique, {}))
        with pytest.raises(SystemExit, match=rf"^Another job waits with the queueing_lock of job {failed}\."):
            await asyncio.to_thread(command, ["retry", str(failed)])

    @pytest.mark.slow
    async def test_cancel_stops_a_running_job(self, enqueue: Enqueue, sql: Sql) -> None:
        [identity] = await enqueue((wait_until_cancelled, {}))
        working = asyncio.create_task(work(Settings(environment="test")))

        async def reach(identity: int, status: str) -> None:
            while not sql("SELECT 1 FROM procrastinate_jobs WHERE id = %s AND status::text = %s", identity, status):
                assert not working.done()
                await asyncio.sleep(0.1)

        try:
            async with asyncio.timeout(60):
                await reach(identity, "doing")
                arguments = [sys.executable, "-m", "app", "jobs", "cancel", str(identity)]
                await asyncio.to_thread(subprocess.run, arguments, check=True)
                await reach(identity, "aborted")
                [later] = await enqueue((note, {"text": "later"}))
                await reach(later, "succeeded")
        finally:
            signal.raise_signal(signal.SIGTERM)
            await working
        assert done == ["begun", "stopped", "later"]

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["jobs", "cancel", "4711"], "There is no job 4711 that waits or runs."),
            (["jobs", "retry", "4711"], "There is no job 4711 that failed or was cancelled."),
        ],
    )
    def test_unknown_job_is_one_sentence(self, sql: Sql, arguments: list[str], sentence: str) -> None:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert str(ended.value) == sentence


class TestWorker:
    async def test_worker_concurrency_applies_to_threads(self, enqueue: Enqueue, do_all_jobs: DoAllJobs) -> None:
        await enqueue(*[(meet, {})] * gate.parties)
        await do_all_jobs(concurrency=gate.parties)
        assert done == ["met"] * gate.parties

    def test_worker_refuses_unusable_settings(self, committed_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MAIL_FROM", "invalid")
        with pytest.raises(SystemExit, match=r"^MAIL_FROM is invalid"):
            main(["worker"])

    def test_worker_on_windows_is_one_sentence(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "platform", "win32")
        with pytest.raises(
            ConfigError, match=r"^The worker does not run on Windows: use WSL, or the container image\.$"
        ):
            commands.start_worker(Namespace())

    @pytest.mark.slow
    async def test_worker_reports_jobs_and_stops_at_sigterm(
        self, enqueue: Enqueue, sql: Sql, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        origin = {"request_id": "the-request-17", "traceparent": f"00-{TRACE}-{PARENT}-01"}
        monkeypatch.setattr("app.core.jobs.deferring._origin", lambda: origin)
        await enqueue((queue.tasks[TOKENS], {"timestamp": 0}))
        with collecting() as collector:
            environment = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "LOG_FORMAT": "json"}
            command = [sys.executable, "-m", "app", "worker"]
            worker = await asyncio.create_subprocess_exec(*command, env=environment, stdout=subprocess.PIPE)
            try:
                while not sql("SELECT 1 FROM procrastinate_jobs WHERE status = 'succeeded' AND task_name = %s", TOKENS):
                    assert worker.returncode is None, "the worker ended"
                    await asyncio.sleep(0.05)
                worker.terminate()
                output, _ = await asyncio.wait_for(worker.communicate(), 30)
            finally:
                with suppress(ProcessLookupError):
                    worker.kill()
        assert worker.returncode == 0
        assert sql("SELECT count(*) FROM procrastinate_workers") == [{"count": 0}]
        lines = [json.loads(line) for line in output.splitlines()]
        assert lines[-1]["event"] == "stop"
        [line] = [line for line in lines if line["event"] == "job" and line["task"] == TOKENS]
        assert (line["request_id"], line["done"], line["attempt"]) == ("the-request-17", True, 1)

        [span] = [span for span in collector.spans() if span.name == f"process {TOKENS}"]
        assert span.kind == Span.SPAN_KIND_CONSUMER
        assert [(link.trace_id.hex(), link.span_id.hex()) for link in span.links] == [(TRACE, PARENT)]
        assert line["trace_id"] == span.trace_id.hex()
        inside = {child.name for child in collector.spans() if child.parent_span_id == span.span_id}
        assert any("user_sessions" in name for name in inside)
        durations = collector.metrics()["messaging.process.duration"].histogram.data_points
        [point] = [point for point in durations if values(point.attributes)["job.task"] == TOKENS]
        assert point.count == 1
        assert (
            values(point.attributes)
            == values(span.attributes)
            == {
                "messaging.system": "procrastinate",
                "messaging.operation.name": "process",
                "messaging.destination.name": "default",
                "job.task": TOKENS,
            }
        )

    async def test_reconnecting_worker_leaks_no_tasks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        tasks: list[int] = []

        async def gone_three_times(*_: Any, **__: Any) -> None:
            tasks.append(len(asyncio.all_tasks()))
            if len(tasks) <= 3:
                raise ConnectorException("gone")

        monkeypatch.setattr("app.core.jobs.worker._run", gone_three_times)
        monkeypatch.setattr("app.core.jobs.worker.PAUSE_SECONDS", 0.01)
        await work(Settings(environment="test"), wait=False)
        assert tasks == [tasks[0]] * 4
