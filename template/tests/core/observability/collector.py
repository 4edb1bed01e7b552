"""A local collector of traces, metrics and error reports."""

import gzip
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from threading import Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from app.core.observability import telemetry

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
EMAIL = "ada.lovelace@example.com"


class Collector(ThreadingHTTPServer):
    """Receives OTLP exports and Sentry reports, and acts as the identity provider."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.received: list[tuple[str, bytes]] = []
        self.asked: list[str | None] = []
        """The trace id of each request that the service sent."""

    def bodies(self, path: str) -> list[bytes]:
        return [body for to, body in self.received if to == path]

    def spans(self) -> list[Span]:
        exports = map(ExportTraceServiceRequest.FromString, self.bodies("/v1/traces"))
        found = (part for export in exports for resource in export.resource_spans for part in resource.scope_spans)
        return [span for part in found for span in part.spans]

    def metrics(self) -> dict[str, Metric]:
        exports = map(ExportMetricsServiceRequest.FromString, self.bodies("/v1/metrics"))
        found = (part for export in exports for resource in export.resource_metrics for part in resource.scope_metrics)
        return {metric.name: metric for part in found for metric in part.metrics}

    def token(self) -> str:
        claims = {
            "iss": self.url,
            "aud": "tests",
            "sub": "ada",
            "exp": time.time() + 60,
            "email": EMAIL,
            "email_verified": True,
            "name": "Ada Lovelace",
        }
        return jwt.encode(claims, self.key, "ES256", headers={"kid": "key", "typ": "at+jwt"})


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_GET(self) -> None:
        self.server.asked.append(telemetry.trace_id(self.headers["traceparent"]))
        key = jwt.algorithms.ECAlgorithm.to_jwk(self.server.key.public_key(), as_dict=True)
        answer = {
            "issuer": self.server.url,
            "jwks_uri": f"{self.server.url}/keys",
            "keys": [{**key, "kid": "key", "alg": "ES256", "use": "sig"}],
        }
        self._answer(json.dumps(answer).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        match self.headers["content-encoding"]:
            case "gzip":
                body = gzip.decompress(body)
            case "br":  # Sentry uses Brotli if a package of the project installs it
                body = import_module("brotli").decompress(body)
        self.server.received.append((self.path, body))
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def collecting() -> Iterator[Collector]:
    with Collector() as collector:
        thread = Thread(target=collector.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()


def values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
