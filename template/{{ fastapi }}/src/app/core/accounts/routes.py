"""Routes of `/users`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import TypeAdapter
from starlette.types import Receive, Scope, Send

from app.core.accounts.access import change_email, require_registration
from app.core.accounts.auth.identity import LoggedIn, require_local_accounts, require_log_in, require_scope
from app.core.accounts.auth.service import change_password
from app.core.accounts.email.invitations import InvitationService
from app.core.accounts.email.verification import VerificationService
from app.core.accounts.models import User
from app.core.accounts.repository import UserRepository
from app.core.accounts.schemas import (
    PasswordChange,
    UserCreate,
    UserDetails,
    UserQuery,
    UserResponse,
    UserRightsUpdate,
    UserUpdate,
)
from app.core.accounts.service import UserService
from app.core.database.engine import Database
from app.core.database.on_commit import on_commit
from app.core.database.sessions import ReadOnly, Transaction, get_database
from app.core.http.dependencies import CurrentState
from app.core.http.headers import require_match, tagged
from app.core.http.limits.exports import EXPORT_SECONDS, ExportTimeout, export_place
from app.core.http.limits.rates import client_address
from app.core.http.openapi.document import problem_responses
from app.core.http.routing import reverse
from app.core.problems import Forbidden, NotFound, Unauthorized
from app.core.schemas import Page
from app.core.security.bearer import ADMIN
from app.core.types import PathId

CHUNK_BYTES = 16_384

public = APIRouter(prefix="/users", tags=["users"])
router = APIRouter(prefix="/users", tags=["users"])


@public.post(
    "",
    status_code=HTTPStatus.CREATED,
    response_model=UserResponse,
    responses=problem_responses(403, 404, 409, 429) | {202: {"description": "A message was sent"}},
    dependencies=[Depends(require_registration)],
)
async def register(
    data: UserCreate, session: Transaction, state: CurrentState, request: Request, response: Response
) -> UserResponse | Response:
    """Register a user. A service that verifies addresses always answers 202, and sends a message."""
    invitations = InvitationService(session)
    invitation_id = await invitations.check(data, required=state.settings.registration == "invited")
    if state.settings.verify_email:
        await state.rate_limits.hit_email("registration", client_address(request), data.email)
        await VerificationService(session).register(data, invitation_id)
        return Response(status_code=HTTPStatus.ACCEPTED)
    user = await UserService(session).create(data)
    if invitation_id is not None:
        await invitations.accept(invitation_id, user)
    response.headers["Location"] = reverse(request, "get_user", user_id=user.id)
    return UserResponse.model_validate(user)


@router.get("", responses=problem_responses(403), dependencies=[Depends(require_scope(ADMIN))])
async def list_users(session: ReadOnly, query: Annotated[UserQuery, Query()]) -> Page[UserDetails]:
    """List all users. The oldest is first. Admins only."""
    users, total = await UserRepository(session).find(query)
    return Page[UserDetails].of(users, total, query)


@router.get("/me")
async def get_me(session: ReadOnly, user: LoggedIn, response: Response) -> UserResponse:
    """Get your user."""
    found = await UserRepository(session).get(user.id)
    if found is None or not found.is_active:
        raise Unauthorized
    return tagged(response, UserResponse.model_validate(found))


@router.patch("/me", responses=problem_responses(403, 409, 412, 429), dependencies=[Depends(require_log_in)])
async def change_me(
    data: UserUpdate, session: Transaction, user: LoggedIn, request: Request, response: Response
) -> UserResponse:
    """Change your name or address. A service that verifies addresses changes the address only after that."""
    service = UserService(session)
    found = await service.users.lock(user.id)
    if found is None or not found.is_active:
        raise Unauthorized
    require_match(request, UserResponse.model_validate(found))
    if "email" in data.model_fields_set:
        await change_email(request, session, found, data.email)
        data = data.without_email()
    await service.change(found, data)
    return tagged(response, UserResponse.model_validate(found))


@router.put(
    "/me/password",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problem_responses(403, 404, 429),
    dependencies=[Depends(require_local_accounts), Depends(require_log_in)],
)
async def change_my_password(data: PasswordChange, user: LoggedIn, state: CurrentState) -> None:
    """Change your password. Your other sessions and all access tokens end: refresh your tokens."""
    await state.rate_limits.hit(state.settings.login_rate, "password", str(user.id))
    if not await change_password(state.database, user, data):
        raise Forbidden("The current password is wrong.")
    state.revocations.expire()


@router.get(
    "/export",
    response_class=StreamingResponse,
    dependencies=[Depends(require_scope(ADMIN))],
    responses=problem_responses(403, 503)
    | {200: {"description": "One user a line", "content": {"application/x-ndjson": {}}}},
)
async def export_users(request: Request) -> StreamingResponse:
    """Export all users. Each line is a JSON object. Admins only."""
    lines = _lines(get_database(request))
    first = await anext(lines)  # read before the status is sent, so that an error can still change the status
    return ExportResponse(_begun(first, lines), media_type="application/x-ndjson")


@router.get("/{user_id}", responses=problem_responses(404))
async def get_user(user_id: PathId, session: ReadOnly, user: LoggedIn, response: Response) -> UserResponse:
    """Get a user. Other users are 404, unless you are an admin."""
    # Another user is a 404, not a 403: a caller must not learn which users exist.
    may_see = user_id == user.id or user.is_admin
    found = await UserRepository(session).get(user_id) if may_see else None
    if found is None and user_id == user.id:
        raise Unauthorized
    if found is None:
        raise NotFound("There is no such user.")
    return tagged(response, UserResponse.model_validate(found))


@router.patch(
    "/{user_id}", responses=problem_responses(403, 404, 409, 412), dependencies=[Depends(require_scope(ADMIN))]
)
async def change_user(
    user_id: PathId,
    data: UserRightsUpdate,
    session: Transaction,
    state: CurrentState,
    request: Request,
    response: Response,
) -> UserDetails:
    """Change rights of a user. The last active admin keeps this right. Admins only."""
    service = UserService(session)
    found = await _changeable(service, user_id, request)
    await service.change_rights(found, data)
    on_commit(session, state.revocations.expire)
    changed = await service.users.get_with_roles(user_id, fresh=True)
    tagged(response, UserResponse.model_validate(changed))
    return UserDetails.model_validate(changed)


@router.delete(
    "/{user_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problem_responses(403, 404, 409, 412),
    dependencies=[Depends(require_scope(ADMIN))],
)
async def deactivate_user(user_id: PathId, session: Transaction, state: CurrentState, request: Request) -> None:
    """Deactivate a user. All sessions and tokens end; the data stay. Admins only."""
    service = UserService(session)
    found = await _changeable(service, user_id, request)
    await service.deactivate(found)
    on_commit(session, state.revocations.expire)


async def _changeable(service: UserService, user_id: int, request: Request) -> User:
    found = await service.users.lock(user_id)
    if found is None:
        raise NotFound("There is no such user.")
    require_match(request, UserResponse.model_validate(found))
    return found


class ExportResponse(StreamingResponse):
    """A stream that ends after EXPORT_SECONDS, also while its client does not read."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(EXPORT_SECONDS):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            raise ExportTimeout from None


async def _begun(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        yield first
        async for lines in rest:
            yield lines


async def _lines(database: Database) -> AsyncGenerator[bytes]:
    # The session of the request ends before the stream does. So the generator opens its own session.
    with export_place():
        async with database.streaming_sessions() as session, aclosing(UserRepository(session).stream()) as users:
            to_json = TypeAdapter(UserResponse).dump_json
            lines = bytearray()
            async for user in users:
                lines += to_json(UserResponse.model_validate(user)) + b"\n"
                if len(lines) > CHUNK_BYTES:
                    yield bytes(lines)
                    lines.clear()
            yield bytes(lines)
