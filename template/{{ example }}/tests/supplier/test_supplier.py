"""HTTP tests of `/api/v1/supplier`, with a local supplier."""

import json
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Barrier, Lock, Thread
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from app.core import ConfigError, OutgoingCall
from app.core.testing import Headers, SignIn, UserFactory, assert_problem
from app.supplier import client as over_http
from app.supplier.settings import Settings

PAGE = b'{"items": [], "page": 2, "size": 100, "total": 101}'

type Answer = Callable[[Handler], None]


class Supplier(ThreadingHTTPServer):
    """Lists products in pages. A test can replace the answer of a page."""

    daemon_threads = True
    request_queue_size = 100  # if the queue is full, a client connects again only after a second

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/catalogue?shop=7"
        self.total = 0
        self.largest_page = 100
        self.answers: dict[int, list[Answer]] = defaultdict(list)
        """The first answers of each page, in order; later requests get the page itself."""
        self.always: dict[int, Answer] = {}
        self.asked: list[int] = []
        self.request_ids: list[str | None] = []
        self.traces: list[str | None] = []
        self.running = self.most = 0
        self.lock = Lock()

    def products(self) -> list[dict[str, str | int]]:
        return [{"name": f"Cup {number}", "price": "2.50", "stock": number} for number in range(self.total)]

    def page(self, number: int, size: int) -> bytes:
        size = min(size, self.largest_page)
        items = [product | {"colour": "blue"} for product in self.products()[(number - 1) * size : number * size]]
        return json.dumps({"items": items, "page": number, "size": size, "total": self.total, "v": 2}).encode()

    def handle_error(self, *_: object) -> None:
        """Ignore errors: tests close connections on purpose."""


class Handler(BaseHTTPRequestHandler):
    server: Supplier

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        assert query["shop"] == ["7"]
        self.number, self.size = int(query["page"][0]), int(query["size"][0])
        supplier = self.server
        with supplier.lock:
            supplier.asked.append(self.number)
            supplier.request_ids.append(self.headers["X-Request-ID"])
            supplier.traces.append(self.headers["traceparent"])
            supplier.running += 1
            supplier.most = max(supplier.most, supplier.running)
            answers = supplier.answers[self.number]
            answer = answers.pop(0) if answers else supplier.always.get(self.number, Handler.page)
        try:
            answer(self)
        finally:
            with supplier.lock:
                supplier.running -= 1

    def page(self) -> None:
        self.answer(self.server.page(self.number, self.size))

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def status(code: int, **headers: str) -> Answer:
    return lambda handler: handler.answer(b"", code, **headers)


def body(content: bytes) -> Answer:
    return lambda handler: handler.answer(content)


@pytest.fixture
def supplier(monkeypatch: pytest.MonkeyPatch) -> Iterator[Supplier]:
    monkeypatch.setattr("random.uniform", lambda *_: 0)
    with Supplier() as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        set_supplier(monkeypatch, server.url)
        yield server
        server.shutdown()


def set_supplier(monkeypatch: pytest.MonkeyPatch, url: str | None) -> None:
    settings = Settings.model_validate({"supplier_url": url})
    monkeypatch.setattr(Settings, "current", lambda: settings)


async def ask(client: httpx2.AsyncClient, headers: Headers | None = None) -> httpx2.Response:
    return await client.get("/api/v1/supplier/products", headers=headers)


@pytest.mark.parametrize("total", [0, 1, 100, 101, 250])
async def test_products_are_returned_in_order(
    async_client: httpx2.AsyncClient, admin: Headers, supplier: Supplier, total: int
) -> None:
    supplier.total = total
    response = await ask(async_client, admin)
    assert response.status_code == 200, response.text
    assert response.json() == {"items": supplier.products()}


@pytest.mark.slow
async def test_concurrent_page_requests_are_limited(
    async_client: httpx2.AsyncClient, admin: Headers, supplier: Supplier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(over_http, "PAGE_SECONDS", 60)
    monkeypatch.setattr(over_http, "TOTAL_SECONDS", 60)
    supplier.largest_page, supplier.total = 10, 170
    together = Barrier(over_http.MAX_CONCURRENT_PAGES, timeout=20)

    def in_company(handler: Handler) -> None:
        together.wait()
        handler.page()

    supplier.always = dict.fromkeys(range(2, 18), in_company)
    assert (await ask(async_client, admin)).json() == {"items": supplier.products()}
    assert supplier.most == over_http.MAX_CONCURRENT_PAGES


async def test_trace_context_is_sent(
    async_client: httpx2.AsyncClient, admin: Headers, supplier: Supplier, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[OutgoingCall] = []

    @contextmanager
    def calling(method: str, url: str) -> Iterator[OutgoingCall]:
        assert (method, url.partition("?")[0]) == ("GET", supplier.url.partition("?")[0])
        calls.append(OutgoingCall({"traceparent": f"00-{len(calls)}"}))
        yield calls[-1]

    monkeypatch.setattr(over_http, "calling", calling)
    supplier.total = 101
    supplier.answers[2] = [status(503)]
    assert (await ask(async_client, admin)).status_code == 200
    assert supplier.traces == ["00-0", "00-1", "00-2"]
    assert [call.status for call in calls] == [200, 503, 200]


async def test_failed_page_is_retried(async_client: httpx2.AsyncClient, admin: Headers, supplier: Supplier) -> None:
    supplier.total = 201
    supplier.answers[2] = [status(503), status(429)]
    assert (await ask(async_client, admin)).json() == {"items": supplier.products()}
    assert sorted(supplier.asked) == [1, 2, 2, 2, 3]


@pytest.mark.parametrize("page", [1, 2])
async def test_three_failures_are_503(
    async_client: httpx2.AsyncClient, admin: Headers, supplier: Supplier, page: int
) -> None:
    supplier.total = 101
    supplier.always[page] = status(500)
    response = await ask(async_client, admin)
    assert assert_problem(response, 503)["detail"] == "The supplier does not answer."
    assert response.headers["Retry-After"] == "1"
    assert supplier.asked.count(page) == 3


@pytest.mark.slow
async def test_unreachable_supplier_is_503(
    async_client: httpx2.AsyncClient, admin: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        set_supplier(monkeypatch, f"http://127.0.0.1:{bound.getsockname()[1]}/")
        assert_problem(await ask(async_client, admin), 503)


@pytest.mark.slow
@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "gopher://127.0.0.1:1", "http://127.0.0.1:1"])
async def test_unusable_proxy_is_503(
    async_client: httpx2.AsyncClient, admin: Headers, supplier: Supplier, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    response = await ask(async_client, admin)
    assert_problem(response, 503)
    assert not supplier.asked


@pytest.mark.slow
@pytest.mark.parametrize("page", [1, 2])
async def test_slow_page_is_503(
    async_client: httpx2.AsyncClient,
    admin: Headers,
    supplier: Supplier,
    page: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The time limit is for the whole page, not for each read."""

    def drip(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(1500):
            handler.wfile.write(b" ")
            time.sleep(0.02)

    monkeypatch.setattr(over_http, "PAGE_SECONDS", 0.1)
    supplier.total = 101
    supplier.always[page] = drip
    begun = time.monotonic()
    assert_problem(await ask(async_client, admin), 503)
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize(
    "nonsense",
    [
        pytest.param(status(404), id="not found"),
        pytest.param(status(302, Location="http://127.0.0.1:1/"), id="redirect"),
        pytest.param(body(b"<html>"), id="not JSON"),
        pytest.param(body(PAGE.replace(b"100", b"0")), id="page size 0"),
        pytest.param(body(PAGE.replace(b"[]", b"[{}]")), id="product without fields"),
        pytest.param(body(PAGE.replace(b"2", b"3")), id="another page"),
        pytest.param(body(b" " * over_http.MAX_PAGE_BYTES + PAGE), id="too long"),
    ],
)
async def test_invalid_page_is_502_without_retry(
    async_client: httpx2.AsyncClient, admin: Headers, supplier: Supplier, nonsense: Answer
) -> None:
    supplier.total = 101
    supplier.always[2] = nonsense
    detail = assert_problem(await ask(async_client, admin), 502)["detail"]
    assert detail == "The response of the supplier is not valid."
    assert supplier.asked == [1, 2]


@pytest.mark.slow
async def test_first_failure_stops_page_requests(
    async_client: httpx2.AsyncClient, admin: Headers, supplier: Supplier
) -> None:
    supplier.total = 100 * over_http.MAX_PAGES
    supplier.always = dict.fromkeys(range(2, over_http.MAX_PAGES + 1), status(404))
    assert_problem(await ask(async_client, admin), 502)
    assert len(supplier.asked) <= 1 + over_http.MAX_CONCURRENT_PAGES


async def test_too_many_pages_are_502(async_client: httpx2.AsyncClient, admin: Headers, supplier: Supplier) -> None:
    supplier.total = 100 * over_http.MAX_PAGES + 1
    assert "100 pages" in assert_problem(await ask(async_client, admin), 502)["detail"]
    assert supplier.asked == [1]


async def test_request_id_is_sent(async_client: httpx2.AsyncClient, admin: Headers, supplier: Supplier) -> None:
    supplier.total = 101
    await ask(async_client, admin | {"X-Request-ID": "the-request-17"})
    assert supplier.request_ids == ["the-request-17", "the-request-17"]


async def test_supplier_without_admin_scope_is_403(
    async_client: httpx2.AsyncClient, supplier: Supplier, user_factory: UserFactory, sign_in: SignIn
) -> None:
    assert_problem(await ask(async_client), 401)
    assert_problem(await ask(async_client, sign_in(await user_factory())), 403)
    assert supplier.asked == []


async def test_missing_supplier_url_is_404(
    async_client: httpx2.AsyncClient, admin: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_supplier(monkeypatch, None)
    assert "SUPPLIER_URL" in assert_problem(await ask(async_client, admin), 404)["detail"]


@pytest.mark.parametrize(
    ("environment", "url", "sentence"),
    [
        ("production", "http://supplier.example", "SUPPLIER_URL must start with https:// in production"),
        ("test", "supplier.example", "SUPPLIER_URL is invalid: Input should be a valid URL"),
        ("test", "file:///etc/passwd", "SUPPLIER_URL is invalid: URL scheme should be 'http' or 'https'"),
    ],
)
def test_invalid_supplier_url_is_refused(
    monkeypatch: pytest.MonkeyPatch, environment: str, url: str, sentence: str
) -> None:
    monkeypatch.setenv("ENVIRONMENT", environment)
    monkeypatch.setenv("SUPPLIER_URL", url)
    with pytest.raises(ConfigError) as refused:
        Settings.load()
    assert str(refused.value).startswith(sentence)
