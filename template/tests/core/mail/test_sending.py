"""`send` without a queue: after the commit, in the background."""

import logging
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import suppress
from threading import Event
from typing import Any

import pytest
import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars, merge_contextvars
from structlog.testing import capture_logs

from app.core.mail import background, sending
from app.core.mail.settings import Settings
from tests.core.mail.inbox import Inbox, Serve

Transact = Callable[..., Awaitable[None]]

ADA = {"to": "ada@example.com", "subject": "Hello", "text": "Good morning"}


@pytest.fixture(autouse=True)
def _without_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "_find_outbox", lambda: None)


@pytest.fixture
def inbox(serve_mail: Serve, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    inbox, address = serve_mail()
    settings = Settings.model_validate({"environment": "test", "smtp_url": f"smtp://{address}"})
    monkeypatch.setattr(background, "get_settings", lambda: settings)
    return inbox


@pytest.fixture
def lines() -> Iterator[list[MutableMapping[str, Any]]]:
    """Log lines with their context variables."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    clear_contextvars()
    with capture_logs([merge_contextvars]) as lines:
        yield lines
    structlog.configure(**before)


def settle() -> None:
    """Wait until no message is waiting or being sent."""
    deadline = time.monotonic() + 60
    while background._free._value < background.MAX_WAITING:
        assert time.monotonic() < deadline
        time.sleep(0.005)


async def test_message_is_sent_after_the_commit(inbox: Inbox, transact: Transact) -> None:
    def nothing_yet() -> None:
        settle()
        assert inbox.messages == []

    await transact(ADA, then=nothing_yet)
    settle()
    assert [str(message["To"]) for message in inbox.messages] == ["ada@example.com"]


async def test_rolled_back_message_is_not_sent(inbox: Inbox, transact: Transact) -> None:
    def fail() -> None:
        raise RuntimeError

    with suppress(RuntimeError):
        await transact(ADA, then=fail)
    await transact()
    settle()
    assert inbox.messages == []


async def test_failure_log_has_request_id_and_no_address(
    inbox: Inbox, transact: Transact, lines: list[MutableMapping[str, Any]]
) -> None:
    inbox.answers["RCPT"] = "451 not for ada@example.com"
    bind_contextvars(request_id="the-request-17")
    await transact(ADA)
    settle()
    [line] = lines
    assert line == {
        "event": "e-mail not sent",
        "error": "TemporaryRefusalError: localhost refuses the message for now, with 451.",
        "log_level": "warning",
        "request_id": "the-request-17",
    }


async def test_slow_smtp_server_does_not_delay_the_caller(
    inbox: Inbox, transact: Transact, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, delivered = Event(), list[str]()

    def deliver(message: Any, settings: Settings) -> None:
        assert answer.wait(10)
        delivered.append(str(message["To"]))

    monkeypatch.setattr(background, "deliver", deliver)
    await transact(ADA)
    assert delivered == []
    answer.set()
    settle()
    assert delivered == ["ada@example.com"]


async def test_messages_in_memory_are_bounded(
    inbox: Inbox, transact: Transact, lines: list[MutableMapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Event()
    monkeypatch.setattr(background, "deliver", lambda *_: answer.wait(10))
    await transact(*[ADA] * (background.MAX_WAITING + 1))
    answer.set()
    settle()
    assert [line["reason"] for line in lines] == ["100 messages are waiting"]
