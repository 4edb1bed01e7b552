"""What the logs say, and what they never say."""

import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from app.logging import configure, redact, request_id
from support import PASSWORD, MakeClient, UserFactory

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


SECRET = "hunter2-hunter2"


async def test_a_request_is_one_line_whatever_it_holds(lines: Lines, make_client: MakeClient) -> None:
    configure("info", json=True)
    forged = "%0d%0a%1b[2J%00%e2%80%a8" + quote('{"event": "request", "status": 200}')
    headers = {"User-Agent": "evil\tagent", "Referer": "x", "X-Forwarded-For": '"}', "Authorization": 'Bearer "}{"'}
    async with make_client(log_level="info") as client:
        assert (await client.get(f"/users/{forged}", params={"q": "\r\n{}"}, headers=headers)).status_code == 401
        assert (await client.get(f"/{forged}", headers={"X-Request-ID": "a-line\tforged"})).status_code == 404
    found = [line for line in lines() if line["event"] == "request"]
    assert [(line["status"], line["method"]) for line in found] == [(401, "GET"), (404, "GET")]
    for line in found:
        assert line["path"].endswith('{"event": "request", "status": 200}')
        assert re.fullmatch("[0-9a-f]{32}", line["request_id"])
        assert not {"evil", "forged"} & set(re.findall(r"\w+", json.dumps(line | {"path": ""})))


async def test_no_secret_and_nobody_reaches_the_log(
    capsys: pytest.CaptureFixture[str], lines: Lines, make_client: MakeClient, user_factory: UserFactory
) -> None:
    configure("info", json=True)
    user = await user_factory(email="ada@example.com", name="Ada Lovelace")
    body = {"name": "Ada Lovelace", "email": "ada@example.com", "password": SECRET}
    async with make_client(log_level="info") as client:
        good = await client.post("/auth/token", data={"username": "ada@example.com", "password": PASSWORD})
        bad = await client.post("/auth/token", data={"username": "ada@example.com", "password": SECRET})
        for sent in (body, body | {"name": ""}):
            await client.post("/users", json=sent)
        await client.post("/auth/refresh", json={"refresh_token": SECRET})
        headers = {"Authorization": f"Bearer {SECRET}", "Cookie": f"session={SECRET}"}
        await client.get(f"/users/me?access_token={SECRET}", headers=headers)
        await client.get("/users/me", headers={"Authorization": f"Bearer {good.json()['access_token']}"})
    printed = capsys.readouterr().out
    found = [json.loads(line) for line in printed.splitlines()]
    told = [(line["route"], line["status"], line.get("user")) for line in found if line["event"] == "request"]
    assert bad.status_code == 401
    assert told[:2] == [("/auth/token", 200, str(user.id)), ("/auth/token", 401, None)]
    assert told[-2:] == [("/users/me", 401, None), ("/users/me", 200, str(user.id))]
    for private in (SECRET, PASSWORD, "ada@example.com", "Lovelace", *good.json().values()):
        if isinstance(private, str) and private != "bearer":
            assert private not in printed
