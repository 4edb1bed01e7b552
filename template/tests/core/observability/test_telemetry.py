"""Traces, metrics and error reports, as a collector receives them."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pydantic import SecretStr

from app.core.accounts.service import UserService
from app.core.config import ABOUT, Settings
from app.core.observability import telemetry
from app.core.testing import assert_problem
from tests.core.observability.collector import EMAIL, PARENT, TRACE, Collector, collecting, values
from tests.core.test_command_line import serving

PASSWORD = "engine no. 1"
COOKIE = "session=flavour"
ACCOUNT = {"name": "Ada Lovelace", "email": EMAIL, "password": PASSWORD}


OFF = """
import subprocess
import sys
from importlib.util import find_spec
if find_spec("app.main"):
    from app.main import create_app as create
else:
    from app.core.http.application import create_application as create
create()
late = ("opentelemetry.sdk", "opentelemetry.exporter", "app.core.observability.otel")
print({*late, "app.core.observability.traces"} & set(sys.modules))
"""


CALLS = """
from app.core.observability import telemetry
from app.core.config import Settings
telemetry.start(Settings())
try:
    with telemetry.calling("GET", "https://supplier.example/products"):
        raise TimeoutError
except TimeoutError:
    pass
with telemetry.calling("GET", "http://ada:hunter2@supplier.example:81/products?page=7#top") as call:
    call.status = 503
print(call.headers["traceparent"])
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.mark.slow
def test_traces_and_metrics_are_exported(collector: Collector, committed_database: str) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "JWT_ISSUER": collector.url, "JWT_AUDIENCE": "tests"}
    with serving(**settings, HOST="127.0.0.1") as (process, address):
        headers = {"Authorization": f"Bearer {collector.token()}", "traceparent": f"00-{TRACE}-{PARENT}-01"}
        request = urllib.request.Request(f"{address}/api/v1/users/me?whom={EMAIL}", headers=headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            user = json.load(response)["id"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=300) == 0
        assert process.stdout
        printed = process.stdout.read()
    sent = b"".join(body for _, body in collector.received).decode(errors="replace") + printed
    assert EMAIL not in sent
    assert collector.token().partition(".")[0] not in sent

    [line] = [line for line in map(json.loads, printed.splitlines()) if line["event"] == "request"]
    assert {"route": "/api/v1/users/me", "status": 200, "user": "ada", "trace_id": TRACE}.items() <= line.items()

    first = ExportTraceServiceRequest.FromString(collector.bodies("/v1/traces")[0])
    resource = values(first.resource_spans[0].resource.attributes)
    assert (resource["service.name"], resource["deployment.environment.name"]) == (ABOUT.name, "test")
    spans = collector.spans()
    # The health checks of `serving` have no span.
    [request_span] = [span for span in spans if span.kind == Span.SPAN_KIND_SERVER]
    assert (request_span.trace_id.hex(), request_span.parent_span_id.hex()) == (TRACE, PARENT)
    assert request_span.name == "GET /api/v1/users/me"
    measured = {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/api/v1/users/me",
        "network.protocol.version": "1.1",
        "url.scheme": "http",
    }
    assert values(request_span.attributes) == measured | {
        "server.address": "127.0.0.1",
        "server.port": int(address.rpartition(":")[2]),
        "url.path": "/api/v1/users/me",
        "url.query": "whom=REDACTED",
    }

    inside = [span for span in spans if span.parent_span_id == request_span.span_id]
    statements = {span.name: values(span.attributes) for span in inside if span.name != "GET"}
    assert {"SELECT users", "INSERT users"} <= statements.keys()
    assert statements["INSERT users"].pop("db.query.text").startswith("INSERT INTO")
    assert statements["INSERT users"] == {
        "db.system.name": "postgresql",
        "db.operation.name": "INSERT",
        "db.collection.name": "users",
    }
    call, *_ = [values(span.attributes) for span in inside if span.name == "GET"]
    assert call["url.full"] == f"{collector.url}/.well-known/openid-configuration"
    assert (call["http.request.method"], call["http.response.status_code"]) == ("GET", 200)
    assert set(collector.asked) == {TRACE}
    assert user

    metrics = collector.metrics()
    [point] = metrics["http.server.request.duration"].histogram.data_points
    assert (point.count, values(point.attributes)) == (1, measured)
    assert (metrics["http.server.request.duration"].unit, point.explicit_bounds[0]) == ("s", 0.005)
    [point] = metrics["http.server.active_requests"].sum.data_points
    assert values(point.attributes) == {"http.request.method": "GET", "url.scheme": "http"}
    durations = [values(point.attributes) for point in metrics["db.client.operation.duration"].histogram.data_points]
    assert statements["INSERT users"] in durations
    assert metrics["http.client.request.duration"].histogram.data_points
    states = [values(point.attributes) for point in metrics["db.client.connection.count"].sum.data_points]
    assert {state["db.client.connection.state"] for state in states} == {"used", "idle"}
    assert [point.as_int for point in metrics["db.client.connection.max"].sum.data_points] == [20]


@pytest.mark.slow
def test_outgoing_calls_are_exported(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    command = [sys.executable, "-c", CALLS]
    sent = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=300, check=True).stdout
    unanswered, answered = collector.spans()
    assert sent.startswith(f"00-{answered.trace_id.hex()}-{answered.span_id.hex()}-")
    assert (answered.name, answered.kind, answered.status.code) == ("GET", Span.SPAN_KIND_CLIENT, 2)
    measured = [
        {"http.request.method": "GET", "server.address": "supplier.example"} | attributes
        for attributes in (
            {"server.port": 443, "error.type": "TimeoutError"},
            {"server.port": 81, "http.response.status_code": 503, "error.type": "503"},
        )
    ]
    assert values(unanswered.attributes) == measured[0] | {"url.full": "https://supplier.example/products"}
    assert values(answered.attributes) == measured[1] | {"url.full": "http://supplier.example:81/products"}
    points = collector.metrics()["http.client.request.duration"].histogram.data_points
    assert [values(point.attributes) for point in points] == measured


@pytest.mark.slow
def test_disabled_telemetry_is_not_imported(database_url: str) -> None:
    """Run in a new process: other tests import telemetry."""
    done = subprocess.run([sys.executable, "-c", OFF], capture_output=True, text=True, timeout=300, check=False)
    assert (done.stdout, done.returncode) == ("set()\n", 0), done.stderr


@pytest.mark.parametrize(
    ("traceparent", "trace_id"),
    [
        (f"00-{TRACE}-{PARENT}-01", TRACE),
        (None, None),
        ("", None),
        (f"00-{'0' * 32}-{PARENT}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{PARENT}-01", None),
        (f"00-{TRACE}\n-{PARENT}-01", None),
    ],
)
def test_trace_id_is_read_from_valid_traceparent(traceparent: str | None, trace_id: str | None) -> None:
    assert telemetry.trace_id(traceparent) == trace_id


@pytest.fixture
def sentry(settings: Settings, collector: Collector) -> Iterator[Any]:
    import sentry_sdk  # not at collection: the import takes 0.1 s

    dsn = SecretStr(collector.url.replace("//", "//key@") + "/1")
    telemetry.start(settings.model_copy(update={"sentry_dsn": dsn}))
    yield sentry_sdk
    sentry_sdk.get_client().close()
    sentry_sdk.init(default_integrations=False, auto_enabling_integrations=False)


@pytest.mark.slow
async def test_errors_are_reported_without_personal_data(
    async_client: httpx2.AsyncClient, collector: Collector, sentry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        password = PASSWORD
        raise RuntimeError(f"{EMAIL} cannot be stored\nDETAIL: {password} is what failed")

    monkeypatch.setattr(UserService, "create", fail)
    headers = {"X-Request-ID": "a1b2c3d4", "traceparent": f"00-{TRACE}-{PARENT}-01", "Cookie": COOKIE}
    assert_problem(await async_client.post("/api/v1/users", json=ACCOUNT, headers=headers), 500)
    sentry.flush(10)
    [envelope] = collector.bodies("/api/1/envelope/")
    text = envelope.decode()
    assert [personal for personal in (*ACCOUNT.values(), COOKIE) if personal in text] == []
    event = json.loads(envelope.splitlines()[2])
    assert event["exception"]["values"][-1]["value"] == "[e-mail] cannot be stored"
    assert event["tags"] == {"request_id": "a1b2c3d4", "trace_id": TRACE}
    assert event["exception"]["values"][-1]["stacktrace"]["frames"][-1]["function"] == "fail"
    assert "request" not in event


@pytest.mark.slow
def test_missing_collector_does_not_delay_the_exit() -> None:
    """The exporters repeat a request to a collector that does not answer, for up to a minute."""
    code = (
        "import time; from app.core.observability import otel; otel.FLUSH_SECONDS = 0.1; "
        "otel.shut_down_at_exit(lambda: time.sleep(60), lambda: print('flushed', flush=True))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout == "flushed\n"
