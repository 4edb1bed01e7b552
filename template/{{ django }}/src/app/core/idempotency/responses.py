"""Stores responses within the transactions of their requests, and returns stored responses."""

from collections.abc import Callable, Collection
from functools import wraps
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Header
from ninja.decorators import decorate_view
from ninja.utils import contribute_operation_args

from app.core.http.state import Request
from app.core.idempotency.keys import (
    CALLER,
    KEPT,
    KEY_DESCRIPTION,
    MAX_EXPIRED,
    STORED_HEADERS,
    STREAMED,
    IdempotencyKey,
    IdempotencyKeyReused,
    fingerprint,
)
from app.core.idempotency.models import IdempotentRequest
from app.core.problems import Unauthorized

ENTRY = "app.idempotent"
"""Key in the WSGI environment of a request: the row that receives the response."""

BEGIN = """
    INSERT INTO idempotent_requests (caller, key, fingerprint, created_at) VALUES (%s, %s, %s, now())
    ON CONFLICT (caller, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, status = NULL, headers = NULL, body = NULL, created_at = now()
    WHERE idempotent_requests.created_at < now() - make_interval(secs => %s)
"""
DELETE_EXPIRED = """
    WITH chosen AS (
        SELECT caller, key FROM idempotent_requests WHERE created_at < now() - make_interval(secs => %s)
        ORDER BY created_at LIMIT %s FOR UPDATE SKIP LOCKED
    )
    DELETE FROM idempotent_requests USING chosen
    WHERE idempotent_requests.caller = chosen.caller AND idempotent_requests.key = chosen.key
"""
"""A plan may run a subquery again for each row, which ignores its limit. A CTE runs once."""


class RepeatedError(Exception):
    """The caller has sent this request before. Has the stored response."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__()
        self.response = response


def idempotent[F: Callable[..., Any]](view: F) -> F:
    """Store the response with the Idempotency-Key of the request. A repeated request gets the stored response."""

    @wraps(view)
    def called(request: Request, *, idempotency_key: str | None = None, **values: Any) -> Any:
        if idempotency_key is not None:
            _begin(request, idempotency_key)
        return view(request, **values)

    kind: Any = IdempotencyKey | None
    header: Any = Header(None, alias="Idempotency-Key", description=KEY_DESCRIPTION)  # type: ignore[type-arg]
    contribute_operation_args(called, "idempotency_key", kind, header)
    return decorate_view(_storing)(called)  # type: ignore[return-value]


def _begin(request: Request, key: str) -> None:
    """Store the key. Raise RepeatedError if the caller has sent the request with this key before.

    Raise IdempotencyKeyReused if that was a different request. Waits for a concurrent request with the same key.
    """
    if (caller := request.META.get(CALLER)) is None:
        raise Unauthorized("An Idempotency-Key needs a token.")
    digest = fingerprint(request.method or "", request.get_full_path(), request.body)
    with connection.cursor() as cursor:
        cursor.execute(BEGIN, (caller, key, digest, KEPT.total_seconds()))
        is_new = cursor.rowcount == 1
    entry = IdempotentRequest.objects.filter(caller=caller, key=key)
    if is_new:
        request.META[ENTRY] = entry
        return
    first = entry.get()
    if first.fingerprint != digest:
        raise IdempotencyKeyReused
    raise RepeatedError(HttpResponse(first.body, status=first.status, headers=first.headers))


def _storing(run: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Run an operation and the storing of its response in one transaction."""

    @wraps(run)
    def stored(request: Request, **path: Any) -> HttpResponse:
        if "Idempotency-Key" not in request.headers:
            return run(request, **path)
        try:
            with transaction.atomic():
                response = run(request, **path)
                if entry := request.META.pop(ENTRY, None):
                    _store(entry, response)
                return response
        except RepeatedError as repeated:
            return repeated.response

    return stored


def _store(entry: QuerySet[IdempotentRequest], response: HttpResponse) -> None:
    if response.streaming:
        raise TypeError(STREAMED)
    headers = {name: value for name, value in response.headers.items() if name.lower() in STORED_HEADERS}
    entry.update(status=response.status_code, headers=headers, body=response.content)
    with connection.cursor() as cursor:
        cursor.execute(DELETE_EXPIRED, (KEPT.total_seconds(), MAX_EXPIRED))


def delete_of_callers(callers: Collection[str]) -> None:
    """Delete the stored responses of these callers."""
    IdempotentRequest.objects.filter(caller__in=callers).delete()
