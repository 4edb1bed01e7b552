"""Headers, errors and limits of every response."""

import re
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from app.core.accounts.service import UserService
from app.core.testing import PRODUCTION, Headers, MakeClient, assert_problem

SECURITY_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


ORIGIN = "https://front.example"
PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}


class TestHeaders:
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/health/live", 200),
            ("GET", "/nothing", 404),
            ("GET", "/api/v1/users", 401),
            ("PUT", "/api/v1/users", 405),
            ("POST", "/api/v1/users", 422),
        ],
    )
    async def test_security_headers_are_on_every_response(
        self, async_client: httpx2.AsyncClient, method: str, path: str, status: int
    ) -> None:
        response = await async_client.request(method, path)
        assert response.status_code == status
        assert SECURITY_HEADERS.items() <= dict(response.headers).items()
        assert "strict-transport-security" not in response.headers
        assert "server" not in response.headers

    async def test_production_sends_hsts(self, make_client: MakeClient) -> None:
        async with make_client(**PRODUCTION) as client:
            header = (await client.get("/health/live")).headers["strict-transport-security"]
        assert header == "max-age=63072000; includeSubDomains"

    async def test_valid_request_id_is_returned(self, async_client: httpx2.AsyncClient) -> None:
        response = await async_client.get("/health/live", headers={"X-Request-ID": "trace-0123456789"})
        assert response.headers["x-request-id"] == "trace-0123456789"

    @pytest.mark.parametrize(
        "offered", [None, "", "with blanks in it", "x" * 129, 'quoted"injection"', "line%0abreak!"]
    )
    async def test_invalid_request_id_is_replaced(self, async_client: httpx2.AsyncClient, offered: str | None) -> None:
        headers = {"X-Request-ID": offered} if offered else {}
        first, second = [
            (await async_client.get("/health/live", headers=headers)).headers["x-request-id"] for _ in "12"
        ]
        assert re.fullmatch("[0-9a-f]{32}", first)
        assert first != second

    async def test_no_content_has_no_length(self, async_client: httpx2.AsyncClient, admin: Headers) -> None:
        """RFC 9110, section 8.6."""
        ended = await async_client.delete("/api/v1/auth/sessions", headers=admin)
        assert (ended.status_code, "content-length" in ended.headers) == (204, False)


class TestErrors:
    async def test_unknown_path_is_404(self, async_client: httpx2.AsyncClient) -> None:
        problem = assert_problem(await async_client.get("/nothing/here"), 404)
        assert problem == {
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "detail": "There is nothing here.",
            "instance": "/nothing/here",
        }

    async def test_wrong_method_is_405_with_allow(self, async_client: httpx2.AsyncClient) -> None:
        response = await async_client.delete("/api/v1/users")
        assert_problem(response, 405)
        assert response.headers["allow"] == "GET, HEAD, POST"

    @pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "", "application/x-www-form-urlencoded"])
    async def test_wrong_media_type_is_415(self, async_client: httpx2.AsyncClient, content_type: str) -> None:
        headers = {"Content-Type": content_type} if content_type else {}
        assert_problem(await async_client.post("/api/v1/users", content=b'{"name": "Ada"}', headers=headers), 415)

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"{", 422),
            (b"nope", 422),
            (b"[1, 2", 422),
            (b'"text"', 422),
            (b"null", 422),
            (b"[]", 422),
            (b"\xff\xfe", 422),
            (
                b"[" * 50_000,
                400 if sys.version_info < (3, 14) else 422,
            ),  # before Python 3.14, the JSON parser is recursive
        ],
        ids=["open", "word", "half", "text", "null", "list", "no UTF-8", "deep"],
    )
    async def test_body_that_is_not_an_object_is_refused(
        self, async_client: httpx2.AsyncClient, body: bytes, status: int
    ) -> None:
        response = await async_client.post("/api/v1/users", content=body, headers={"Content-Type": "application/json"})
        assert_problem(response, status)

    async def test_only_first_errors_are_listed(self, async_client: httpx2.AsyncClient) -> None:
        body = {f"k{number}": 1 for number in range(5000)}
        problem = assert_problem(await async_client.post("/api/v1/users", json=body), 422)
        assert len(problem["errors"]) == 20
        assert problem["more_errors"] == len(body) + 3 - 20, "also the three missing fields"


class TestBodyLimit:
    async def test_large_content_length_is_413(self, make_client: MakeClient) -> None:
        async with make_client(max_json_bytes=1024) as client:
            assert_problem(await client.post("/api/v1/users", json={"name": "x" * 1024}), 413)
            assert (await client.post("/api/v1/users", json={"name": "x" * 900})).status_code == 422

    async def test_large_chunked_body_is_413(self, make_client: MakeClient) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(4):
                yield b" " * 512

        async with make_client(max_json_bytes=1024) as client:
            headers = {"Content-Type": "application/json"}
            assert_problem(await client.post("/api/v1/users", content=chunks(), headers=headers), 413)

    async def test_upload_limit_is_larger_than_json_limit(self, async_client: httpx2.AsyncClient) -> None:
        body = b'{"name": "' + b"x" * 65_536 + b'"}'
        for kind, status in (("application/json", 413), ("application/x-www-form-urlencoded", 413)):
            assert_problem(
                await async_client.post("/api/v1/users", content=body, headers={"Content-Type": kind}), status
            )
        upload = {"Content-Type": "multipart/form-data; boundary=x"}
        assert_problem(await async_client.post("/api/v1/users", content=body, headers=upload), 415)

    @pytest.mark.parametrize("length", ["-1", "ten", "1e3"])
    async def test_invalid_content_length_is_400(self, async_client: httpx2.AsyncClient, length: str) -> None:
        assert_problem(await async_client.post("/api/v1/users", content=b"{}", headers={"Content-Length": length}), 400)


class TestHost:
    @pytest.mark.parametrize(("host", "status"), [("test", 404), ("TEST:8000", 404), ("evil.example", 400), ("", 400)])
    async def test_unknown_host_is_400(self, make_client: MakeClient, host: str, status: int) -> None:
        async with make_client(**PRODUCTION | {"allowed_hosts": "Test"}) as client:
            assert_problem(await client.get("/nothing", headers={"Host": host}), status)

    async def test_health_check_accepts_ip_address_as_host(self, make_client: MakeClient) -> None:
        async with make_client(**PRODUCTION) as client:
            assert (await client.get("/health/live", headers={"Host": "10.0.0.7:8000"})).status_code == 200

    async def test_links_start_with_root_path(self, make_client: MakeClient) -> None:
        """A proxy has removed the prefix from the requests. The prefix may equal the start of the API's paths."""
        account = {"name": "Ada", "email": "ada@example.com", "password": "engine no. 1"}
        async with make_client(root_path="/api") as client:
            created = await client.post("/api/v1/users", json=account)
            document = (await client.get("/openapi.json")).json()
            docs = await client.get("/docs")
            assert (await client.get("/health/live")).status_code == 200
            assert_problem(await client.get("/api/api/v1/users"), 404)
        assert created.headers["location"] == f"/api/api/v1/users/{created.json()['id']}"
        assert document["servers"] == [{"url": "/api"}]
        assert "/api/v1/users" in document["paths"]
        assert "/api/openapi.json" in docs.text


class TestDocumentation:
    @pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
    async def test_documentation_is_404_in_production(
        self, async_client: httpx2.AsyncClient, make_client: MakeClient, path: str
    ) -> None:
        assert (await async_client.get(path)).status_code == 200
        async with make_client(**PRODUCTION) as client:
            assert_problem(await client.get(path), 404)

    async def test_documentation_page_loads_only_local_files(self, async_client: httpx2.AsyncClient) -> None:
        page = await async_client.get("/docs")
        files = [file for file in re.findall(r'(?:src|href)="([^"]+)"', page.text) if not file.startswith("data:")]
        assert len(files) >= 3
        for file in files:
            assert (await async_client.get(file)).status_code == 200, file
        assert "//" not in page.headers["content-security-policy"]


class TestCors:
    async def test_cors_allows_only_listed_origins(
        self, async_client: httpx2.AsyncClient, make_client: MakeClient
    ) -> None:
        plain = await async_client.get("/health/live", headers={"Origin": ORIGIN})
        assert "access-control-allow-origin" not in plain.headers
        async with make_client(allowed_origins=ORIGIN) as client:
            listed = await client.get("/health/live", headers={"Origin": ORIGIN})
            other = await client.get("/health/live", headers={"Origin": "https://evil.example"})
        assert listed.headers["access-control-allow-origin"] == ORIGIN
        assert "access-control-allow-origin" not in other.headers
        assert "access-control-allow-credentials" not in listed.headers

    async def test_error_responses_have_cors_headers(
        self, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any) -> None:
            raise RuntimeError("a defect")

        monkeypatch.setattr(UserService, "create", fail)
        account = {"name": "Ada", "email": "ada@example.com", "password": "engine no. 1"}
        async with make_client(allowed_origins=ORIGIN, max_json_bytes=1024) as client:
            client.headers["Origin"] = ORIGIN
            refused = [
                await client.post("/api/v1/users", json=account),
                await client.post("/api/v1/users", json={"name": "x" * 1024}),
                await client.get("/health/nothing"),
                await client.get("/api/v1/users", headers={"Host": "evil.example"}),
            ]
        assert [response.status_code for response in refused] == [500, 413, 404, 400]
        assert {response.headers["access-control-allow-origin"] for response in refused} == {ORIGIN}

    @pytest.mark.parametrize(
        "changes",
        [
            {"Origin": "https://evil.example"},
            {"Access-Control-Request-Method": "TRACE"},
            {"Access-Control-Request-Headers": "X-Evil"},
        ],
    )
    async def test_cors_preflight(self, make_client: MakeClient, changes: Headers) -> None:
        async with make_client(allowed_origins=ORIGIN) as client:
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
                wanted = PREFLIGHT | {"Access-Control-Request-Method": method}
                allowed = await client.options("/api/v1/users", headers=wanted)
                assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, ORIGIN)
                assert method in allowed.headers["access-control-allow-methods"].split(", ")
            assert_problem(await client.options("/api/v1/users", headers=PREFLIGHT | changes), 403)
