from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.core.jobs import queue
from app.core.jobs.deferring import BACKOFF
from app.core.mail.settings import Settings
from app.core.slices import import_all
from tests.core.jobs.conftest import DoAllJobs, Enqueue, Sql
from tests.core.mail.inbox import Inbox, Serve

ADA = {"to": "ada@example.com", "subject": "Hello", "text": "Good morning", "name": "Ada"}

type Transact = Callable[..., Awaitable[None]]

import_all("jobs")


@pytest.fixture
def inbox(serve_mail: Serve, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    inbox, address = serve_mail()
    settings = Settings.model_validate({"environment": "test", "smtp_url": f"smtp://{address}"})
    monkeypatch.setattr("app.core.outbox.jobs.get_settings", lambda: settings)
    return inbox


@pytest.fixture
def outgoing(sql: Sql) -> Callable[[], list[Any]]:
    """Return the waiting messages. Each message must have a waiting job."""

    def outgoing() -> list[Any]:
        messages = sql("SELECT id FROM outgoing_messages")
        jobs = sql("SELECT args ->> 'message_id' AS id FROM procrastinate_jobs WHERE status = 'todo'")
        assert [str(row["id"]) for row in messages] == [row["id"] for row in jobs if row["id"]]
        return messages

    return outgoing


async def test_message_is_sent_by_a_worker_and_deleted(
    inbox: Inbox, transact: Transact, outgoing: Callable[[], list[Any]], sql: Sql, do_all_jobs: DoAllJobs
) -> None:
    await transact(ADA)
    assert len(outgoing()) == 1
    assert inbox.messages == []
    await do_all_jobs()
    assert [str(message["To"]) for message in inbox.messages] == ["Ada <ada@example.com>"]
    assert outgoing() == []
    stored = sql("SELECT args::text FROM procrastinate_jobs WHERE task_name = 'outbox.send'")
    assert "example.com" not in str(stored), "arguments of jobs are logged, and are stored for days"


async def test_rolled_back_message_is_not_stored(
    transact: Transact, outgoing: Callable[[], list[Any]], sql: Sql
) -> None:
    def fail() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await transact(ADA, then=fail)
    assert outgoing() == []


@pytest.mark.parametrize("code", [451, 550])
async def test_refused_message_is_kept_while_it_is_retried(
    inbox: Inbox, transact: Transact, sql: Sql, do_all_jobs: DoAllJobs, code: int
) -> None:
    inbox.answers["RCPT"] = f"{code} not for ada@example.com"
    await transact(ADA)
    lines = await do_all_jobs()
    [status] = sql("SELECT status::text, attempts FROM procrastinate_jobs WHERE task_name = 'outbox.send'")
    assert status == {"status": "todo" if code == 451 else "failed", "attempts": 1}
    assert len(sql("SELECT id FROM outgoing_messages")) == (1 if code == 451 else 0)
    assert "ada@example.com" not in str(lines)


async def test_message_is_deleted_after_the_last_attempt(
    inbox: Inbox, transact: Transact, outgoing: Callable[[], list[Any]], sql: Sql, do_all_jobs: DoAllJobs
) -> None:
    inbox.answers["RCPT"] = "451 later"
    await transact(ADA)
    sql("UPDATE procrastinate_jobs SET attempts = %s", BACKOFF.max_attempts)
    await do_all_jobs()
    assert outgoing() == []
    assert sql("SELECT status::text FROM procrastinate_jobs WHERE task_name = 'outbox.send'") == [{"status": "failed"}]


async def test_sent_message_is_not_sent_again(inbox: Inbox, enqueue: Enqueue, sql: Sql, do_all_jobs: DoAllJobs) -> None:
    await enqueue((queue.tasks["outbox.send"], {"message_id": 4711}))
    await do_all_jobs()
    assert inbox.messages == []
    assert sql("SELECT status::text FROM procrastinate_jobs WHERE task_name = 'outbox.send'") == [
        {"status": "succeeded"}
    ]


async def test_message_without_a_job_is_deleted(
    inbox: Inbox, transact: Transact, enqueue: Enqueue, sql: Sql, do_all_jobs: DoAllJobs
) -> None:
    await transact(ADA, ADA | {"to": "grace@example.com"})
    first, second = sql("SELECT id FROM procrastinate_jobs WHERE task_name = 'outbox.send' ORDER BY id")
    sql("UPDATE procrastinate_jobs SET status = 'cancelled' WHERE id = %s", first["id"])
    sql("UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 day' WHERE id = %s", second["id"])
    await enqueue((queue.tasks["outbox.delete_abandoned"], {"timestamp": 0}))
    await do_all_jobs()
    [left] = sql("SELECT id FROM outgoing_messages")
    [job] = sql("SELECT (args ->> 'message_id')::bigint AS id FROM procrastinate_jobs WHERE id = %s", second["id"])
    assert left == job
