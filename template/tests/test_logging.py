"""What the logs say, and what they never say."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from app.logging import configure, redact, request_id

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """The lines that were logged, read as JSON; the logging of the other tests is restored after."""
    root = logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    root.handlers.clear()
    yield lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


@pytest.mark.parametrize("offered", ["a1b2c3d4", "req-1.2:3_4567", "x" * 128])
def test_sane_request_id_is_kept(offered: str) -> None:
    assert request_id(offered) == offered


@pytest.mark.parametrize(
    "offered", [None, "", "short", "x" * 129, "with blank", "line\nbreak12", "break\n", "ünïcödé1"]
)
def test_any_other_request_id_is_replaced(offered: str | None) -> None:
    made = request_id(offered)
    assert made != request_id(offered)
    assert len(made) == 32


@pytest.mark.parametrize(
    "name",
    ["password", "new_password", "SECRET_KEY", "refresh_token", "Authorization", "set-cookie", "apikey", "api_key"],
)
def test_what_is_named_like_a_secret_is_hidden(name: str) -> None:
    assert redact(None, "info", {name: "hunter2", "user": "7"}) == {name: "[redacted]", "user": "7"}


def test_a_line_is_one_json_object(lines: Lines) -> None:
    configure("info", json=True)
    with bound_contextvars(request_id="a1b2c3d4"):
        structlog.get_logger().info("it\nhappened", user="7", password="hunter2")
    [line] = lines()
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "it\nhappened",
        "level": "info",
        "user": "7",
        "password": "[redacted]",
        "request_id": "a1b2c3d4",
    }


def test_what_a_library_logs_looks_the_same(lines: Lines) -> None:
    configure("info", json=True)
    with bound_contextvars(request_id="a1b2c3d4"):
        logging.getLogger("some.library").warning("%s is slow", "it")
    [line] = lines()
    assert line.pop("time").endswith("Z")
    assert line == {"event": "it is slow", "level": "warning", "logger": "some.library", "request_id": "a1b2c3d4"}


@pytest.mark.parametrize("logger", ["structlog", "logging"])
def test_an_exception_is_part_of_its_line(lines: Lines, logger: str) -> None:
    configure("info", json=True)
    log = structlog.get_logger() if logger == "structlog" else logging.getLogger("some.library")
    try:
        os.environ["LOST"]
    except KeyError:
        log.exception("failed")
    [line] = lines()
    assert (line["event"], line["level"]) == ("failed", "error")
    assert line["exception"][0]["exc_type"] == "KeyError"


@pytest.mark.parametrize(("level", "events"), [("debug", "dwe"), ("warning", "we"), ("error", "e")])
def test_the_level_holds(lines: Lines, level: str, events: str) -> None:
    configure(level, json=True)
    log = structlog.get_logger()
    log.debug("d")
    log.warning("w")
    log.error("e")
    assert "".join(line["event"] for line in lines()) == events


def test_libraries_are_never_that_talkative(lines: Lines) -> None:
    configure("debug", json=True)
    logging.getLogger("some.library").debug("a detail")
    logging.getLogger("uvicorn.access").info("GET / 200")
    logging.getLogger("httpx2").info("HTTP Request: GET /")
    assert lines() == []


def test_configuring_twice_does_not_log_twice(lines: Lines) -> None:
    configure("info", json=True)
    configure("info", json=True)
    logging.getLogger("some.library").warning("once")
    assert len(lines()) == 1


@pytest.mark.usefixtures("lines")
def test_console_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", json=False)
    structlog.get_logger().info("it happened", user="7", token="hunter2")
    line = capsys.readouterr().out
    assert "it happened" in line
    assert "user=7" in line
    assert "hunter2" not in line
    assert "\x1b" not in line, "no colours where nobody sees them"
