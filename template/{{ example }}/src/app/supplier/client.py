"""The supplier over HTTP: its first page tells how many there are, and the others are fetched side by side."""

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

PAGES_AT_ONCE = 8
PAGE_SIZE = 100
MAX_PAGES = 100
MAX_PAGE_BYTES = 262_144

PAGE_SECONDS = 3.0
"""How long a page may take, with what is tried again."""
TOTAL_SECONDS = 10.0
"""How long all pages after the first may take together."""


class SupplierFailed(ProblemError):
    """The supplier answers what is of no use, and would again."""

    status = HTTPStatus.BAD_GATEWAY
    detail = "What the supplier answers cannot be used."


class NoAnswerError(Exception):
    """The supplier did not answer, or said that it cannot now."""


async def fetch_products(url: str) -> list[SupplierProduct]:
    """All products, in the supplier's order. Unavailable when it does not answer, SupplierFailed when with nonsense."""
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
    # Redirects are not followed: whoever answers for the supplier could send the service anywhere.
    limits = httpx2.Limits(max_connections=PAGES_AT_ONCE)
    try:
        unopened = httpx2.AsyncClient(headers=headers, limits=limits, timeout=PAGE_SECONDS, verify=_trusted())
    except (ImportError, ValueError) as error:  # a proxy of a kind that is not installed, or does not exist
        log.warning("proxy of the environment cannot be used", error=str(error))
        raise Unavailable("The supplier cannot be reached.") from error
    async with unopened as client:

        async def fetch(number: int) -> OfferedPage:
            return await _fetch_page(client, url, number)

        [first] = await bounded_map(fetch, [1], limit=1, seconds=PAGE_SECONDS)
        last = math.ceil(first.total / first.size)
        if last > MAX_PAGES:
            raise SupplierFailed(f"The supplier has more than {MAX_PAGES} pages.")
        others = await bounded_map(
            fetch, range(2, last + 1), limit=PAGES_AT_ONCE, seconds=PAGE_SECONDS, total_seconds=TOTAL_SECONDS
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
            # As it comes: what is compressed could be any size.
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > MAX_PAGE_BYTES:
                    raise SupplierFailed(f"page {number}: more than {MAX_PAGE_BYTES} bytes")
    except httpx2.TransportError as error:
        raise NoAnswerError(f"page {number}: {type(error).__name__}") from error
    try:
        page = OfferedPage.model_validate_json(body)
    except ValidationError as error:
        raise SupplierFailed(f"page {number}: {error.error_count()} values are not what they should be") from None
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
    # Reading the certificates of the system takes longer than a request.
    return httpx2.create_ssl_context()
