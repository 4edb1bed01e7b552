"""`python -m app`: its commands, and the serving process."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

from app.core.cli.main import main
from app.core.testing import PRODUCTION, Use

ROOT = Path(__file__).parents[2]


def get(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@contextmanager
def serving(**environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the service as a process. Yield the process and its address when the service responds."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = os.environ | {"PORT": str(port), "LOG_FORMAT": "json"} | environment
    command = [sys.executable, "-m", "app", "serve"]
    # In a new session, so that `killpg` also ends its child processes.
    process = subprocess.Popen(
        command, env=settings, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 300
        while True:
            try:
                get(f"{address}/health/live")
                break
            except OSError:
                assert process.poll() is None, "the service ended"
                assert time.monotonic() < deadline, "the service did not start"
                time.sleep(0.02)
        yield process, address
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY is required in production"),
        ({"SECRET_KEY": "changeme" * 8}, "SECRET_KEY looks like a placeholder"),
        ({"DATABASE_URL": ""}, "DATABASE_URL is required in production"),
        ({"DEBUG": "1"}, "DEBUG must be off in production"),
    ],
)
def test_unsafe_production_setting_is_one_sentence(
    database_url: str, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], sentence: str
) -> None:
    production = {name.upper(): value for name, value in PRODUCTION.items()}
    for name, value in (production | environment).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main(["serve"])
    assert str(ended.value).startswith(sentence)
    assert len(str(ended.value).splitlines()) == 1


@pytest.mark.slow
def test_sigterm_ends_readiness_before_the_process(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(HOST="0.0.0.0", DRAIN_SECONDS="300") as (process, address):
        monkeypatch.setenv("HOST", "0.0.0.0")
        monkeypatch.setenv("PORT", str(urlsplit(address).port))
        main(["health", "ready"])
        process.send_signal(signal.SIGTERM)
        # Readiness must turn 503 before the port closes, or this request fails.
        while get(f"{address}/health/ready") != 503:
            time.sleep(0.02)
        main(["health"])
        with pytest.raises(SystemExit) as ended:
            main(["health", "ready"])
        assert str(ended.value).startswith("/health/ready answers 503: ")
        process.send_signal(signal.SIGTERM)  # a second signal ends the drain
        assert process.wait(timeout=60) == 0
        with pytest.raises(SystemExit) as ended:
            main(["health"])
        assert str(ended.value).startswith("/health/live does not answer: ")
        assert process.stdout
        assert '"event": "stop"' in process.stdout.read()


def test_health_command_reports_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        monkeypatch.setenv("PORT", str(server.server_port))
        thread = Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(SystemExit) as ended:
            main(["health"])
        thread.join()
    assert str(ended.value) == "/health/live answers 404."


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit waits for the database to one second."""
    monkeypatch.setenv("DATABASE_TIMEOUT_SECONDS", "1")


@pytest.mark.slow
def test_wait_returns_when_migrations_are_applied(database_url: str) -> None:
    main(["wait", "--seconds", "0"])


@pytest.mark.slow
def test_wait_fails_when_processes_need_too_many_connections(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "20")
    main(["wait", "--seconds", "0", "--processes", "1", "--processes", "2"])
    with pytest.raises(SystemExit) as ended:
        main(["wait", "--seconds", "0", "--processes", "1", "--processes", "1000"])
    assert str(ended.value).startswith("25040 connections are too many: the database allows ")
    monkeypatch.setenv("DATABASE_POOLER", "true")
    main(["wait", "--seconds", "0", "--processes", "1001"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        pytest.param({"path": "/postgres"}, "the database does not have the migrations ", id="no tables"),
        pytest.param({"netloc": "127.0.0.1:1", "query": ""}, "the database does not answer (", id="no server"),
    ],
)
def test_wait_timeout_names_the_reason(
    use: Use, impatient: None, caplog: pytest.LogCaptureFixture, place: dict[str, str], sentence: str
) -> None:
    with use(**place), pytest.raises(SystemExit) as ended:
        main(["wait", "--seconds", "0"])
    assert str(ended.value).startswith(f"Waited 0 seconds: {sentence}")
    assert len(str(ended.value).splitlines()) == 1
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.slow
def test_closed_pipe_prints_no_stack_trace(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-m", "app", "env"], cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.slow
def test_stalled_reader_of_the_log_stops_nothing(database_url: str) -> None:
    """A pipe keeps 64 KiB, less than these log lines."""
    with serving(LOG_LEVEL="debug") as (process, address):
        for _ in range(500):
            assert get(f"{address}/nothing") == 404
        assert get(f"{address}/health/ready") == 200
        process.terminate()
        assert process.stdout
        lines = [json.loads(line) for line in process.stdout]
    assert sum(line["event"] == "request" and line["status"] == 404 for line in lines) == 500
    assert "stop" in {line["event"] for line in lines}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["dev", "serve"])
def test_taken_port_is_one_sentence(database_url: str, command: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = run_service(command, PORT=port)
    sentence = f"Cannot listen on HOST=127.0.0.1 PORT={port}: Address already in use. Set another HOST or PORT.\n"
    assert ended == (1, "", sentence)


@pytest.mark.slow
def test_invalid_host_is_one_sentence(database_url: str) -> None:
    code, out, err = run_service("serve", HOST="no such host")
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert err.startswith("Cannot listen on HOST=no such host PORT=8000: ")


@pytest.mark.slow
@pytest.mark.parametrize("command", [["migrate"], ["user", "ada@example.com"]])
@pytest.mark.parametrize("url", ["postgresql://127.0.0.1:1/nothing", "postgresql://?host=/nowhere"])
def test_unreachable_database_is_one_sentence(command: list[str], url: str) -> None:
    code, out, err = run_service(*command, DATABASE_URL=url, DATABASE_TIMEOUT_SECONDS="1")
    assert (code, out, len(err.splitlines())) == (1, "", 1), err
    assert err.startswith("The database of DATABASE_URL cannot be used: ")


@pytest.mark.slow
def test_missing_migrations_are_one_sentence(database_url: str) -> None:
    empty = urlsplit(database_url)._replace(path="/postgres").geturl()
    ended = run_service("user", "ada@example.com", DATABASE_URL=empty)
    assert ended == (1, "", "The database of DATABASE_URL lacks migrations: run `poe migrate` first.\n")


def run_service(*arguments: str, **environment: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        env=os.environ | environment,
        cwd=ROOT,
        input="correct horse battery staple\n",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_psql_keeps_its_exit_status(database_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments, status, said in ((["-Atc", "SELECT 6 * 7"], 0, "42\n"), (["-c", "SELEC"], 1, "")):
        with pytest.raises(SystemExit) as ended:
            main(["db", *arguments])
        assert (ended.value.code, capfd.readouterr().out) == (status, said)


def test_psql_gets_the_password_as_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "psql").write_text('#!/bin/sh\necho "$@" "$PGPASSWORD"\n')
    (tmp_path / "psql").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("DATABASE_URL", "postgresql://ada:p%40ss@127.0.0.1/notes")
    with pytest.raises(SystemExit) as ended:
        main(["db", "-q"])
    assert (ended.value.code, capfd.readouterr().out) == (0, "postgresql://ada@127.0.0.1/notes -q p@ss\n")


def test_missing_psql_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", "postgresql://ada@127.0.0.1/notes")
    with pytest.raises(SystemExit) as ended:
        main(["db"])
    assert ended.value.code == "psql is not on the PATH: install PostgreSQL's client."
