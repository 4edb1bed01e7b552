"""HTTP client of the supplier. Fetches the first page, which has the total, then all other pages concurrently."""

import math
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from http import HTTPStatus

import httpx2
import structlog
from pydantic import ValidationError
from structlog.contextvars import get_contextvars

from app.core import ProblemError, Unavailable, bounded_map, calling, retry
from app.supplier.schemas import OfferedPage, SupplierProduct

log = structlog.get_logger()

MAX_CONCURRENT_PAGES = 8
PAGE_SIZE = 100
MAX_PAGES = 100
MAX_PAGE_BYTES = 262_144

PAGE_SECONDS = 3.0
"""Time limit for one page, including retries."""
TOTAL_SECONDS = 10.0
"""Time limit for all pages after the first."""


class SupplierFailed(ProblemError):
    """The response of the supplier is not valid. A retry would not help."""

    status = HTTPStatus.BAD_GATEWAY
    detail = "The response of the supplier is not valid."


class NoAnswerError(Exception):
    """The supplier did not answer, or is temporarily unavailable."""


async def fetch_products(url: str) -> list[SupplierProduct]:
    """Return all products, in the supplier's order. Raise Unavailable or SupplierFailed when that fails."""
    try:
        pages = await _fetch_pages(httpx2.URL(url))
    except ExceptionGroup as failures:
        log.warning("supplier failed", errors=sorted({repr(error) for error in failures.exceptions}))
        if failures.subgroup(SupplierFailed):
            raise SupplierFailed from failures
        if failures.subgroup((NoAnswerError, TimeoutError)):
            raise Unavailable("The supplier does not answer.") from failures
        raise
    return [product for page in pages for product in page.items]


async def _fetch_pages(url: httpx2.URL) -> list[OfferedPage]:
    headers = {"Accept-Encoding": "identity"}
    if request_id := get_contextvars().get("request_id"):
        headers["X-Request-ID"] = request_id
    # Follow no redirects: the host could redirect to an internal server (SSRF).
    limits = httpx2.Limits(max_connections=MAX_CONCURRENT_PAGES)
    try:
        unopened = httpx2.AsyncClient(headers=headers, limits=limits, timeout=PAGE_SECONDS, verify=_trusted())
    except (ImportError, ValueError) as error:  # HTTP_PROXY is not valid, or needs a missing package
        log.warning("proxy of the environment is invalid", error=str(error))
        raise Unavailable("The supplier cannot be reached.") from error
    async with unopened as client:

        async def fetch(number: int) -> OfferedPage:
            return await _fetch_page(client, url, number)

        [first] = await bounded_map(fetch, [1], limit=1, seconds=PAGE_SECONDS)
        last = math.ceil(first.total / first.size)
        if last > MAX_PAGES:
            raise SupplierFailed(f"The supplier has more than {MAX_PAGES} pages.")
        others = await bounded_map(
            fetch, range(2, last + 1), limit=MAX_CONCURRENT_PAGES, seconds=PAGE_SECONDS, total_seconds=TOTAL_SECONDS
        )
    return [first, *others]


@retry(times=3, on=NoAnswerError)
async def _fetch_page(client: httpx2.AsyncClient, url: httpx2.URL, number: int) -> OfferedPage:
    asked = url.copy_merge_params({"page": number, "size": PAGE_SIZE})
    body = b""
    try:
        async with _asked(client, asked) as response:
            if response.is_server_error or response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
                raise NoAnswerError(f"page {number}: {response.status_code}")
            if response.status_code != HTTPStatus.OK:
                raise SupplierFailed(f"page {number}: {response.status_code}")
            # Read the raw bytes: a compressed body could expand to any size.
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > MAX_PAGE_BYTES:
                    raise SupplierFailed(f"page {number}: more than {MAX_PAGE_BYTES} bytes")
    except httpx2.TransportError as error:
        raise NoAnswerError(f"page {number}: {type(error).__name__}") from error
    try:
        page = OfferedPage.model_validate_json(body)
    except ValidationError as error:
        raise SupplierFailed(f"page {number}: {error.error_count()} values are not valid") from None
    if page.page != number:
        raise SupplierFailed(f"page {number}: is page {page.page}")
    return page


@asynccontextmanager
async def _asked(client: httpx2.AsyncClient, url: httpx2.URL) -> AsyncIterator[httpx2.Response]:
    with calling("GET", str(url)) as call:
        async with client.stream("GET", url, headers=call.headers) as response:
            call.status = response.status_code
            yield response


@cache
def _trusted() -> ssl.SSLContext:
    # Cached: reading the certificates of the system takes longer than a request.
    return httpx2.create_ssl_context()
