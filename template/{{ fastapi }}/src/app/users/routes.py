"""`/users` over HTTP."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from http import HTTPStatus

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import TypeAdapter

from app.db import Database, Db, ReadingDb, get_database
from app.dependencies import Administrator, CurrentPrincipal, CurrentSettings, Pagination
from app.openapi import problems
from app.problems import Unauthorized
from app.rate_limits import RateLimits, caller
from app.schemas import Page
from app.types import Identifier
from app.urls import reverse
from app.users.identity import CurrentUserId, require_local_accounts
from app.users.repository import UserRepository
from app.users.schemas import UserCreate, UserResponse
from app.users.service import UserService

CHUNK_BYTES = 16_384

public = APIRouter(prefix="/users", tags=["users"])
router = APIRouter(prefix="/users", tags=["users"])


async def limit_registrations(request: Request, settings: CurrentSettings) -> None:
    """TooManyRequests when one address registers more often than REGISTRATION_RATE."""
    limits: RateLimits = request.app.state.rate_limits
    await limits.hit(settings.registration_rate, "registration", caller(request))


@public.post(
    "",
    status_code=HTTPStatus.CREATED,
    responses=problems(404, 409, 429),
    dependencies=[Depends(require_local_accounts), Depends(limit_registrations)],
)
async def register(data: UserCreate, db: Db, request: Request, response: Response) -> UserResponse:
    """Register a user."""
    user = await UserService(db).create(data)
    response.headers["Location"] = reverse(request, "get_user", user_id=user.id)
    return UserResponse.model_validate(user)


@router.get("", responses=problems(403))
async def list_users(db: ReadingDb, pagination: Pagination, _admin: Administrator) -> Page[UserResponse]:
    """The users, oldest first. For administrators."""
    users, total = await UserService(db).page(pagination)
    items = [UserResponse.model_validate(user) for user in users]
    return Page(items=items, page=pagination.page, size=pagination.size, total=total)


@router.get("/me")
async def get_me(db: ReadingDb, user_id: CurrentUserId) -> UserResponse:
    """Whoever the token belongs to."""
    user = await UserRepository(db).get(user_id)
    if user is None:
        raise Unauthorized
    return UserResponse.model_validate(user)


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses=problems(403) | {200: {"description": "One user a line", "content": {"application/x-ndjson": {}}}},
)
async def export_users(request: Request, _admin: Administrator) -> StreamingResponse:
    """Every user, one JSON object a line, streamed. For administrators."""
    lines = _lines(get_database(request))
    first = await anext(lines)  # before the status is sent, so that it can still be another
    return StreamingResponse(_begun(first, lines), media_type="application/x-ndjson")


@router.get("/{user_id}", responses=problems(404))
async def get_user(
    user_id: Identifier, db: ReadingDb, principal: CurrentPrincipal, reader_id: CurrentUserId
) -> UserResponse:
    """A user: oneself, or anybody for administrators."""
    user = await UserService(db).get(user_id, reader=principal, reader_id=reader_id)
    return UserResponse.model_validate(user)


async def _begun(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        yield first
        async for lines in rest:
            yield lines


async def _lines(database: Database) -> AsyncGenerator[bytes]:
    # The stream outlives the request's own session, so it opens one of its own, inside the generator.
    async with database.sessions() as session, aclosing(UserRepository(session).stream()) as users:
        to_json = TypeAdapter(UserResponse).dump_json
        lines = bytearray()
        async for user in users:
            lines += to_json(UserResponse.model_validate(user)) + b"\n"
            if len(lines) > CHUNK_BYTES:
                yield bytes(lines)
                lines.clear()
        yield bytes(lines)
