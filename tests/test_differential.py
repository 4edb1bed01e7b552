"""Both engines answer the same bytes alike: the statuses, and the fate of the connection."""

import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import NamedTuple

import pytest
from conftest import Project
from hypothesis import HealthCheck, assume, example, given, seed, settings
from hypothesis import strategies as st
from questionnaire import choices
from test_contract import Live, empty, serve, stop

pytestmark = [pytest.mark.deep, pytest.mark.xdist_group("differential")]

METHODS = [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"get", b"G@T"]
TARGETS = [
    b"/health/live",
    b"/health/ready",
    b"/nothing",
    b"/api/v1/users",
    b"/api/v1/users/me",
    b"/api/v1/users/1",
    b"/api/v1/users/me/",
    b"/api/v1/auth/token",
    b"/api/v1/products?page=2&size=%31&page=x",
    b"/openapi.json",
    b"/docs",
    b"//health/live",
    b"/health/../health/live",
    b"/health%2flive",
    b"/health/live;a=1?b#c",
    b"/%00",
    b"/%zz",
    b"/\xff\xfe",
    b"/%ff%fe",
    b"/" + b"x" * 9_000,
    b"http://127.0.0.1/health/live",
    b"http://elsewhere.example.com/health/live",
    b"127.0.0.1:80",
    b"health/live",
    b"*",
    b"",
]
VERSIONS = [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/11", b""]
HEADERS = [
    b"Host: 127.0.0.1",
    b"Host: 127.0.0.1:8000",
    b"Host: LOCALHOST.",
    b"Host: [::1]",
    b"Host: elsewhere.example.com",
    b"Host: user@127.0.0.1",
    b"Host:",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Upgrade: h2c",
    b"Expect: 100-continue",
    b"Expect: miracles",
    b"Content-Length: 0",
    b"Content-Length: 2",
    b"Content-Length: 3",
    b"Content-Length: -1",
    b"Content-Length: 1_0",
    b"Content-Length: 99999999999999999999",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Content-Type: application/json",
    b"Content-Type: application/x-www-form-urlencoded",
    b"Content-Type: text/plain; charset=utf-7",
    b"Content-Encoding: gzip",
    b"Authorization: Bearer x",
    b"Authorization: Basic eDp5",
    b"Cookie: sessionid=x; csrftoken=\xe9",
    b"Origin: https://elsewhere.example.com",
    b"Access-Control-Request-Method: PUT",
    b"If-Match: *",
    b'If-None-Match: W/"x"',
    b"Range: bytes=0-1",
    b"Accept: text/html",
    b"X-Forwarded-For: 203.0.113.7, [::1]:80",
    b"X-Forwarded-Proto: https",
    b"X_Forwarded_Host: elsewhere.example.com",
    b"X-Request-ID: \x01",
    b"X-Long: " + b"x" * 9_000,
    b"X: a\r\n b",
    b"X : a",
    b": a",
    b"X",
    b"X: a\x00",
    b"X: a\rb",
    b"\xe9: a",
]
BODIES = [
    b"",
    b"{}",
    b"{}\r\n",
    b"[1",
    b"grant_type=password&username=x",
    b"2\r\n{}\r\n0\r\n\r\n",
    b"2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\n",
    b"3\r\n{}\r\n0\r\n\r\n",
    b"0\r\n\r\n",
    b"fffffffff\r\n",
    b"\xff" * 9,
]
LAST = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Return a message of the parts above. Most are valid: a server stops at the first fault."""
    start = [draw(st.sampled_from(METHODS)), draw(st.sampled_from(TARGETS)), draw(st.sampled_from(VERSIONS))]
    headers = draw(st.lists(st.sampled_from(HEADERS), max_size=3))
    if draw(st.booleans()):
        start[2] = VERSIONS[0]
        headers.insert(0, HEADERS[0])
    end = draw(st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"]))
    return end.join([b" ".join(start), *headers, b"", draw(st.sampled_from(BODIES))])


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """Return a message with some bytes replaced."""
    sent = draw(messages())
    start = draw(st.integers(0, len(sent)))
    return sent[:start] + draw(st.binary(max_size=2)) + sent[start + draw(st.integers(0, 2)) :]


class Outcome(NamedTuple):
    statuses: list[int]
    open: bool
    """True if the server waits for more."""


def exchange(live: Live, sent: bytes, seconds: float) -> Outcome:
    received = b""
    with socket.create_connection(("127.0.0.1", live.client.base_url.port or 0), timeout=seconds) as connection:
        is_open = False
        try:
            connection.sendall(sent)
            while piece := connection.recv(65_536):
                received += piece
        except TimeoutError:
            is_open = True
        except ConnectionError:  # the server closes with unread bytes
            pass
    return Outcome([int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)], is_open)


@pytest.fixture(scope="module")
def engines(installed: Callable[..., Project]) -> Iterator[list[Live]]:
    """The same project with each framework, in development and without rate limits."""
    rates = dict.fromkeys(
        (f"{name}_RATE" for name in ("REGISTRATION", "LOGIN", "LOGIN_ADDRESS", "REFRESH")), "100000/minute"
    )
    started = []
    try:
        for framework in choices("framework"):
            project = installed(framework=framework)
            empty(project)
            started.append(serve(project, "dev", **rates))
        yield started
    finally:
        for live in started:
            stop(live)


@seed(9112)  # the same messages in each run
@settings(
    max_examples=1_500,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(sent=b"GET /nothing HTTP/1.1\r\n\r\n")  # these were different
@example(sent=b"GET /nothing HTTP/1.0\r\n\r\n")
@example(sent=b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.1\r\n\r\n")
@example(sent=b"POST /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n")
@example(sent=b"TRACE /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
@given(sent=st.lists(messages() | changed(), min_size=1, max_size=2).map(b"".join))
def test_same_bytes_have_the_same_outcome(engines: list[Live], sent: bytes) -> None:
    """A last request ends the connection, unless the server has closed it or waits for more of a message."""
    assume(b"DELETE /api/v1/users/me" not in sent)  # FastAPI takes `me` for an id, and asks for a token before its 422
    with ThreadPoolExecutor() as pool:
        for seconds in (0.5, 5):  # the second time for a busy machine
            outcomes = list(pool.map(exchange, engines, repeat(sent + LAST), repeat(seconds)))
            if are_alike(*outcomes):
                return
    assert outcomes[0] == outcomes[1]


def are_alike(first: Outcome, second: Outcome) -> bool:
    """While a body is incomplete, FastAPI may have answered: Django reads the body before it takes a thread."""
    if first.open and second.open:
        return first.statuses[: len(second.statuses)] == second.statuses
    return first == second
