"""Stores responses within the transactions of their requests, and returns stored responses."""

from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from starlette.requests import Request
from starlette.responses import Response

from app.core.idempotency.keys import KEPT, MAX_EXPIRED, STORED_HEADERS, STREAMED, IdempotencyKeyReused, fingerprint
from app.core.idempotency.models import IdempotentRequest
from app.core.problems import Conflict

if TYPE_CHECKING:
    from app.core.database.sessions import WriteSession

RESPONSE = "app.response"
"""Key in the scope of a request: the response that FastAPI's own handler returned."""


class RepeatedError(Exception):
    """The caller has sent this request before. Has the stored response."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


@asynccontextmanager
async def stored_once(session: "WriteSession", request: Request, caller: str, key: str) -> AsyncGenerator[None]:
    """Store the response of the request. Raise RepeatedError if the caller has sent the request with this key before.

    Raise IdempotencyKeyReused if that was a different request. Waits for a concurrent request with the same key.
    """
    entry = {"caller": caller, "key": key}
    target = f"{request.url.path}?{request.url.query}"
    digest = fingerprint(request.method, target, await request.body())
    expired = IdempotentRequest.created_at < func.now() - KEPT
    begun = insert(IdempotentRequest).values(fingerprint=digest, **entry)
    anew = {"fingerprint": digest, "status": None, "headers": None, "body": None, "created_at": func.now()}
    begun = begun.on_conflict_do_update(index_elements=[*entry], set_=anew, where=expired)
    if await session.scalar(begun.returning(IdempotentRequest.key)) is None:
        first = (await session.scalars(select(IdempotentRequest).filter_by(**entry))).one()
        if first.fingerprint != digest:
            raise IdempotencyKeyReused
        if first.status is None:  # the handler committed by itself, and then failed
            raise Conflict("The first request with this Idempotency-Key did not complete.")
        raise RepeatedError(Response(first.body, first.status, first.headers))
    yield
    response: Response | None = request.scope.get(RESPONSE)
    if response is not None:
        if not hasattr(response, "body"):
            raise TypeError(STREAMED)
        stored = {
            "status": response.status_code,
            "headers": {name: value for name, value in response.headers.items() if name in STORED_HEADERS},
            "body": bytes(response.body),
        }
        await session.execute(update(IdempotentRequest).filter_by(**entry).values(stored))
    others = select(IdempotentRequest.caller, IdempotentRequest.key).where(expired)
    # A plan may run a subquery again for each row, which ignores its limit. A CTE runs once.
    some = others.order_by(IdempotentRequest.created_at).limit(MAX_EXPIRED).with_for_update(skip_locked=True).cte()
    is_chosen = and_(IdempotentRequest.caller == some.c.caller, IdempotentRequest.key == some.c.key)
    await session.execute(delete(IdempotentRequest).where(is_chosen))


async def delete_of_callers(session: "WriteSession", callers: Collection[str]) -> None:
    """Delete the stored responses of these callers."""
    await session.execute(delete(IdempotentRequest).where(IdempotentRequest.caller.in_(callers)))
