"""Routes of `/users`."""

import time
from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import reverse
from ninja import Query, Router, Status
from pydantic import TypeAdapter

from app.core.accounts.access import change_email, require_registration
from app.core.accounts.auth.identity import (
    expire_revocations,
    require_local_accounts,
    require_log_in,
    require_scope,
)
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
from app.core.database.transactions import give_back
from app.core.http.dependencies import first
from app.core.http.headers import require_match, tagged
from app.core.http.limits import exports
from app.core.http.limits.rates import client_address
from app.core.http.openapi.document import problem_responses
from app.core.http.state import Request
from app.core.problems import Forbidden, NotFound, Unauthorized
from app.core.schemas import Page
from app.core.security.bearer import ADMIN
from app.core.types import PathId

CHUNK_BYTES = 16_384
LINES = {200: {"description": "One user a line", "content": {"application/x-ndjson": {}}}}

public = Router(tags=["users"])
router = Router(tags=["users"])


@public.post(
    "/users",
    response={HTTPStatus.CREATED: UserResponse, HTTPStatus.ACCEPTED: None},
    openapi_extra=problem_responses(403, 404, 409, 429),
)
@first(require_registration)
@transaction.non_atomic_requests
def register(request: Request, data: UserCreate, response: HttpResponse) -> Status[UserResponse | None]:
    """Register a user. A service that verifies addresses always answers 202, and sends a message."""
    verifies = request.state.settings.verify_email
    invitations = InvitationService()
    invitation_id = invitations.check(data, required=request.state.settings.registration == "invited")
    give_back()
    if verifies:
        request.state.rate_limits.hit_email("registration", client_address(request), data.email)
    hashed = make_password(data.password.get_secret_value())  # slow: hash before the transaction holds a connection
    with transaction.atomic():
        if verifies:
            VerificationService().register(data, hashed, invitation_id)
            return Status(HTTPStatus.ACCEPTED, None)
        user = UserService().create(data, hashed)
        if invitation_id is not None:
            invitations.accept(invitation_id, user)
        response.headers["Location"] = reverse("api:get_user", kwargs={"user_id": user.id})
        return Status(HTTPStatus.CREATED, UserResponse.model_validate(user))


@router.get("/users", response=Page[UserDetails], auth=require_scope(ADMIN), openapi_extra=problem_responses(403))
def list_users(request: Request, query: Query[UserQuery]) -> Page[UserDetails]:
    """List all users. The oldest is first. Admins only."""
    users, total = UserRepository().find(query)
    return Page[UserDetails].of(users, total, query)


@router.get("/users/me", response=UserResponse)
def get_me(request: Request, response: HttpResponse) -> UserResponse:
    """Get your user."""
    user = UserRepository().get(request.auth.id)
    if user is None or not user.is_active:
        raise Unauthorized
    return tagged(response, UserResponse.model_validate(user))


@router.patch(
    "/users/me", response=UserResponse, auth=require_log_in, openapi_extra=problem_responses(403, 409, 412, 429)
)
@transaction.atomic
def change_me(request: Request, data: UserUpdate, response: HttpResponse) -> UserResponse:
    """Change your name or address. A service that verifies addresses changes the address only after that."""
    service = UserService()
    user = service.users.get_for_update(request.auth.id)
    if user is None or not user.is_active:
        raise Unauthorized
    require_match(request, UserResponse.model_validate(user))
    if "email" in data.model_fields_set:
        change_email(request, user, data.email)
        data = data.without_email()
    service.change(user, data)
    return tagged(response, UserResponse.model_validate(user))


@router.put(
    "/users/me/password",
    response={HTTPStatus.NO_CONTENT: None},
    auth=require_log_in,
    openapi_extra=problem_responses(403, 404, 429),
)
@first(require_local_accounts)
@transaction.non_atomic_requests
def change_my_password(request: Request, data: PasswordChange) -> Status[None]:
    """Change your password. Your other sessions and all access tokens end: refresh your tokens."""
    request.state.rate_limits.hit(request.state.settings.login_rate, "password", str(request.auth.id))
    if not change_password(request.auth, data):
        raise Forbidden("The current password is wrong.")
    request.state.revocations.expire()
    return Status(HTTPStatus.NO_CONTENT, None)


@router.get(
    "/users/export",
    auth=require_scope(ADMIN),
    openapi_extra=problem_responses(403, 503, also=LINES),
)
def export_users(request: Request) -> StreamingHttpResponse:
    """Export all users. Each line is a JSON object. Admins only."""
    lines = _lines()
    first = next(lines)  # read before the status is sent, so that an error can still change the status
    return StreamingHttpResponse(_begun(first, lines), content_type="application/x-ndjson")


@router.get("/users/{user_id}", response=UserResponse, openapi_extra=problem_responses(404))
def get_user(request: Request, user_id: PathId, response: HttpResponse) -> UserResponse:
    """Get a user. Other users are 404, unless you are an admin."""
    # Another user is a 404, not a 403: a caller must not learn which users exist.
    may_see = user_id == request.auth.id or request.auth.is_admin
    user = UserRepository().get(user_id) if may_see else None
    if user is None and user_id == request.auth.id:
        raise Unauthorized
    if user is None:
        raise NotFound("There is no such user.")
    return tagged(response, UserResponse.model_validate(user))


@router.patch(
    "/users/{user_id}",
    response=UserDetails,
    auth=require_scope(ADMIN),
    openapi_extra=problem_responses(403, 404, 409, 412),
)
@transaction.atomic
def change_user(request: Request, user_id: PathId, data: UserRightsUpdate, response: HttpResponse) -> UserDetails:
    """Change rights of a user. The last active admin keeps this right. Admins only."""
    service = UserService()
    user = _changeable(service, user_id, request)
    service.change_rights(user, data)
    expire_revocations(request)
    tagged(response, UserResponse.model_validate(user))
    return UserDetails.model_validate(user)


@router.delete(
    "/users/{user_id}",
    response={HTTPStatus.NO_CONTENT: None},
    auth=require_scope(ADMIN),
    openapi_extra=problem_responses(403, 404, 409, 412),
)
@transaction.atomic
def deactivate_user(request: Request, user_id: PathId) -> Status[None]:
    """Deactivate a user. All sessions and tokens end; the data stay. Admins only."""
    service = UserService()
    user = _changeable(service, user_id, request)
    service.deactivate(user)
    expire_revocations(request)
    return Status(HTTPStatus.NO_CONTENT, None)


def _changeable(service: UserService, user_id: int, request: Request) -> User:
    user = service.users.get_for_update(user_id)
    if user is None:
        raise NotFound("There is no such user.")
    require_match(request, UserResponse.model_validate(user))
    return user


def _begun(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _lines() -> Iterator[bytes]:
    end = time.monotonic() + exports.EXPORT_SECONDS
    with exports.export_place(), closing(UserRepository().stream()) as users:
        to_json = TypeAdapter(UserResponse).dump_json
        lines = bytearray()
        for user in users:
            lines += to_json(UserResponse.model_validate(user)) + b"\n"
            if len(lines) > CHUNK_BYTES:
                yield bytes(lines)
                lines.clear()
                if time.monotonic() > end:
                    raise exports.ExportTimeout
        yield bytes(lines)
