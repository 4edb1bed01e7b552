"""Format and content of log lines, without secrets and personal data."""

import errno
import io
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
import structlog
from structlog.contextvars import bound_contextvars, clear_contextvars

from app.core.accounts.schemas import UserResponse
from app.core.accounts.service import UserService
from app.core.http.headers import request_id
from app.core.observability import logs, telemetry
from app.core.observability.logs import Output, configure, redact
from app.core.testing import PASSWORD, Headers, MakeClient, SignIn, UserFactory

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """Return the log lines as JSON. The logging configuration is restored after the test."""
    root = logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    root.handlers.clear()
    clear_contextvars()  # an earlier request in this thread may have left its context
    yield lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


class FullDisk(io.StringIO):
    """A file on a disk without space."""

    full = True

    def write(self, text: str, /) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


class TestRequest:
    @pytest.mark.parametrize("offered", ["a1b2c3d4", "req-1.2:3_4567", "x" * 128])
    def test_valid_request_id_is_kept(self, offered: str) -> None:
        assert request_id(offered) == offered

    @pytest.mark.parametrize("offered", [None, "", "x" * 129, "with blank", "line\nbreak12", "break\n", "ünïcödé1"])
    def test_invalid_request_id_is_replaced(self, offered: str | None) -> None:
        made = request_id(offered)
        assert made != request_id(offered)
        assert len(made) == 32

    async def test_forged_request_is_one_log_line(self, lines: Lines, make_client: MakeClient) -> None:
        configure("info", json=True)
        forged = "%0d%0a%1b[2J%00%e2%80%a8" + quote('{"event": "request", "status": 200}')
        headers = {"User-Agent": "evil\tagent", "Referer": "x", "X-Forwarded-For": '"}', "Authorization": 'Bearer "}{"'}
        async with make_client(log_level="info", log_format="json") as client:
            assert (
                await client.get(f"/api/v1/users/{forged}", params={"q": "\r\n{}"}, headers=headers)
            ).status_code == 401
            assert (await client.get(f"/{forged}", headers={"X-Request-ID": "a-line\tforged"})).status_code == 404
        found = [line for line in lines() if line["event"] == "request"]
        assert [(line["status"], line["method"]) for line in found] == [(401, "GET"), (404, "GET")]
        for line in found:
            assert re.fullmatch("[0-9a-f]{32}", line["request_id"])
            assert not {"evil", "forged", "event"} & set(re.findall(r"\w+", json.dumps([*line.values()])))

    @pytest.mark.usefixtures("lines")
    async def test_console_shows_status_as_number(
        self, make_client: MakeClient, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure("info", json=False)
        account = {"name": "Ada Lovelace", "email": "ada@example.com", "password": "engine no. 1"}
        async with make_client(log_level="info", log_format="console") as client:
            assert (await client.post("/api/v1/users", json=account)).status_code == 201
        assert "status=201" in capsys.readouterr().out.split()


class TestFormat:
    def test_log_line_is_one_json_object(self, lines: Lines) -> None:
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

    def test_library_log_has_the_same_format(self, lines: Lines) -> None:
        configure("info", json=True)
        with bound_contextvars(request_id="a1b2c3d4"):
            logging.getLogger("some.library").warning("%s is slow", "it")
        [line] = lines()
        assert line.pop("time").endswith("Z")
        assert line == {"event": "it is slow", "level": "warning", "logger": "some.library", "request_id": "a1b2c3d4"}

    @pytest.mark.parametrize("logger", ["structlog", "logging"])
    def test_exception_is_part_of_its_log_line(self, lines: Lines, logger: str) -> None:
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
    def test_log_level_is_applied(self, lines: Lines, level: str, events: str) -> None:
        configure(level, json=True)
        log = structlog.get_logger()
        log.debug("d")
        log.warning("w")
        log.error("e")
        assert "".join(line["event"] for line in lines()) == events

    def test_library_debug_lines_are_dropped(self, lines: Lines) -> None:
        configure("debug", json=True)
        logging.getLogger("some.library").debug("a detail")
        logging.getLogger("uvicorn.access").info("GET / 200")
        logging.getLogger("httpx2").info("HTTP Request: GET /")
        assert lines() == []

    def test_configuring_twice_does_not_log_twice(self, lines: Lines) -> None:
        configure("info", json=True)
        configure("info", json=True)
        logging.getLogger("some.library").warning("once")
        assert len(lines()) == 1

    @pytest.mark.usefixtures("lines")
    def test_console_format_is_readable_and_redacted(self, capsys: pytest.CaptureFixture[str]) -> None:
        configure("info", json=False)
        structlog.get_logger().info("it happened", user="7", token="hunter2")
        line = capsys.readouterr().out
        assert "it happened" in line
        assert "user=7" in line
        assert "hunter2" not in line
        assert "\x1b" not in line, "no colours without a terminal"


class TestErrors:
    async def test_os_error_is_logged_with_stack_trace(
        self, lines: Lines, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(*_: Any) -> None:
            raise ConnectionRefusedError("by a mail server")

        monkeypatch.setattr(UserService, "create", refused)
        configure("info", json=True)
        account = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
        async with make_client(log_level="info", log_format="json") as client:
            assert (await client.post("/api/v1/users", json=account)).status_code == 500
        [failed] = [line for line in lines() if line["event"] == "request failed"]
        assert failed["exception"][0]["exc_type"] == "ConnectionRefusedError"
        assert failed["exception"][0]["frames"]

    async def test_error_in_a_stream_is_logged_and_reported(
        self,
        lines: Lines,
        make_client: MakeClient,
        user_factory: UserFactory,
        admin: Headers,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        await user_factory()
        reported: list[BaseException] = []
        times = dict.fromkeys(("created_at", "updated_at"), datetime.now(UTC))
        answers = [UserResponse(id=1, name="Ada", email="ada@example.com", is_active=True, is_admin=False, **times)]
        monkeypatch.setattr("app.core.accounts.routes.CHUNK_BYTES", 1)
        monkeypatch.setattr(UserResponse, "model_validate", lambda _user: answers.pop())
        monkeypatch.setattr(telemetry, "report", reported.append)
        configure("info", json=True)
        async with make_client(log_level="info", log_format="json") as client:
            with pytest.raises(IndexError):
                await client.get("/api/v1/users/export", headers=admin)
        found = [line for line in lines() if line["event"] == "request failed"]
        assert [line["exception"][0]["exc_type"] for line in found] == ["IndexError"]
        assert [type(error) for error in reported] == [IndexError]

    def test_exception_message_has_no_personal_data(self, lines: Lines) -> None:
        configure("info", json=True)
        error = ExceptionGroup("of ada@example.com", [ValueError("bob@example.com fails\nDETAIL: hunter2")])
        structlog.get_logger().error("failed", exc_info=error)
        [line] = lines()
        [exception] = line["exception"]
        assert exception["exc_value"].startswith("of [e-mail] (1 sub-exception)")
        assert exception["exceptions"][0][0]["exc_value"] == "[e-mail] fails"


class TestSecrets:
    @pytest.mark.parametrize(
        "name",
        ["password", "new_password", "SECRET_KEY", "refresh_token", "Authorization", "set-cookie", "apikey", "api_key"],
    )
    def test_secret_fields_are_redacted(self, name: str) -> None:
        assert redact(None, "info", {name: "hunter2", "user": "7"}) == {name: "[redacted]", "user": "7"}

    @pytest.mark.slow
    async def test_log_has_no_secret_or_personal_data(
        self,
        lines: Lines,
        make_client: MakeClient,
        user_factory: UserFactory,
        sign_in: SignIn,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        emails = ["grace@example.com", "ada.lovelace@example.com", "eve@example.com"]
        user = await user_factory(email=emails[0])
        configure("debug", json=True)
        async with make_client(log_level="debug", log_format="json") as client:
            signed = sign_in(user)
            account = {"name": "Ada Lovelace", "email": emails[1], "password": "engine no. 1"}
            form = {"grant_type": "password", "username": emails[0], "password": PASSWORD}
            tokens = (await client.post("/api/v1/auth/token", data=form)).json()
            created = (await client.post("/api/v1/api-keys", json={"name": "Ada's"}, headers=signed)).json()
            answers = [
                await client.post("/api/v1/users", json=account),
                await client.post("/api/v1/users", json=account),
                await client.post("/api/v1/users", json=account | {"email": "ada@", "admin": True}),
                await client.post(
                    "/api/v1/auth/token",
                    data=form | {"grant_type": "password", "username": emails[2], "password": "wrong password"},
                ),
                await client.post(
                    "/api/v1/auth/token", data={"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
                ),
                await client.post(
                    "/api/v1/auth/token", data={"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
                ),
                await client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {created['key']}"}),
                await client.get(f"/api/v1/users/{user.id}?email={emails[2]}&token=hunter2", headers=signed),
                await client.get(f"/api/v1/users/{emails[2]}", headers=signed),
                await client.get(f"/reset/{tokens['refresh_token']}"),
                await client.get(
                    "/api/v1/users/me", headers={"Authorization": "Bearer hunter2", "Cookie": "session=hunter2"}
                ),
            ]

            def fail(*_: Any) -> None:
                raise RuntimeError(f"{emails[1]} is taken\nDETAIL: engine no. 1")

            monkeypatch.setattr(UserService, "create", fail)
            answers.append(await client.post("/api/v1/users", json=account | {"email": emails[2]}))
        assert [answer.status_code for answer in answers] == [
            201,
            409,
            422,
            400,
            200,
            400,
            200,
            200,
            422,
            404,
            401,
            500,
        ]

        written = lines()
        requests = [line for line in written if line["event"] == "request"]
        assert [line["status"] for line in requests] == [200, 201, *(answer.status_code for answer in answers)]
        assert [line["request_id"] for line in requests[2:]] == [answer.headers["x-request-id"] for answer in answers]
        assert {
            "method": "GET",
            "route": "/api/v1/users/{user_id}",
            "status": 200,
            "user": str(user.id),
        }.items() <= requests[9].items()
        assert {"user": str(user.id), "key_id": created["id"]}.items() <= requests[8].items()
        assert {"route": "/api/v1/auth/token", "user": str(user.id)}.items() <= requests[0].items(), (
            "the log line of a log-in names the user"
        )
        assert all(line["ms"] > 0 for line in requests)
        assert requests[11]["route"] is None
        assert all(line["time"].endswith("Z") for line in written)
        failures = [(line["level"], line["request_id"]) for line in written if "exception" in line]
        assert failures == [("error", answers[-1].headers["x-request-id"])]
        secrets = [*emails, "Ada Lovelace", "Grace Hopper", "engine no. 1", PASSWORD, "wrong password", "hunter2"]
        secrets += [tokens["access_token"], tokens["refresh_token"], signed["Authorization"].partition(" ")[2]]
        secrets += [created["key"], "Ada's"]
        text = json.dumps(written)
        assert [secret for secret in secrets if secret in text] == []


class TestOutput:
    @pytest.mark.usefixtures("lines")
    async def test_full_disk_never_fails_a_request(
        self, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        disk = FullDisk()
        monkeypatch.setattr(sys, "stdout", disk)
        configure("info", json=True)
        async with make_client(log_level="info", log_format="json") as client:
            for _ in range(2):
                assert (await client.get("/nothing")).status_code == 404
            disk.full = False
            assert (await client.get("/nothing")).status_code == 404
        found = [json.loads(line) for line in disk.getvalue().splitlines()]
        assert [line["event"] for line in found] == ["request", "log lines lost"]
        assert found[1]["lines"] >= 2

    def test_lost_reader_of_the_log_fails_nothing(self) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as stream:
            output = Output(stream)
            for _ in range(3):
                output.write("a line\n")
            stream.write("also at the end of the process\n")

    def test_lines_wait_for_a_slow_reader(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(logs, "MAX_WAITING", 100)
        reader, writer = os.pipe()
        with os.fdopen(writer, "w") as stream, os.fdopen(reader) as pipe:
            output = Output(stream)
            long = "é" * 5_000  # more than a pipe takes at a time
            written = [json.dumps({"number": number, "long": long}, ensure_ascii=False) for number in range(40)]
            for line in written:
                output.write(f"{line}\n")  # would block
            read = [pipe.readline() for _ in range(20)]
            while "log lines lost" not in read[-1]:
                read.append(pipe.readline())
            output.write("later\n")
            assert pipe.readline() == "later\n"
            output.close()
        lost = json.loads(read.pop())["lines"]
        assert [line.rstrip("\n") for line in read] == written[:-lost]
        assert 0 < lost < 40
