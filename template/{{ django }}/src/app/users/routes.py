"""`/users` over HTTP."""

from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus

from django.db import transaction
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import reverse
from ninja import Router
from pydantic import TypeAdapter

from app.dependencies import administrator, first
from app.openapi import problems
from app.pagination import Paginator
from app.problems import Unauthorized
from app.rate_limits import caller
from app.requests import Request
from app.schemas import Page
from app.security import hash_password
from app.types import Identifier
from app.users.identity import identified, require_local_accounts
from app.users.repository import UserRepository
from app.users.schemas import UserCreate, UserResponse
from app.users.service import UserService

CHUNK_BYTES = 16_384
LINES = {200: {"description": "One user a line", "content": {"application/x-ndjson": {}}}}

public = Router(tags=["users"])
router = Router(tags=["users"])


def limit_registrations(request: Request) -> None:
    """TooManyRequests when one address registers more often than REGISTRATION_RATE."""
    request.service.rate_limits.hit(request.service.settings.registration_rate, "registration", caller(request))


@public.post("/users", response={HTTPStatus.CREATED: UserResponse}, openapi_extra=problems(404, 409, 429))
@first(require_local_accounts, limit_registrations)
@transaction.non_atomic_requests
def register(request: Request, data: UserCreate, response: HttpResponse) -> UserResponse:
    """Register a user."""
    hashed = hash_password(data.password.get_secret_value())  # which takes its time, and needs no connection
    with transaction.atomic():
        user = UserService().create(data, hashed)
        response.headers["Location"] = reverse("api:get_user", kwargs={"user_id": user.id})
        return UserResponse.model_validate(user)


@router.get("/users", response=Page[UserResponse], auth=administrator, openapi_extra=problems(403))
def list_users(request: Request, page: int = 1, size: int = 20) -> Page[UserResponse]:
    """The users, oldest first. For administrators."""
    paginator = Paginator(page, size)
    users, total = UserService().page(paginator)
    items = [UserResponse.model_validate(user) for user in users]
    return Page[UserResponse](items=items, page=paginator.page, size=paginator.size, total=total)


@router.get("/users/me", response=UserResponse, auth=identified)
def get_me(request: Request) -> UserResponse:
    """Whoever the token belongs to."""
    user = UserRepository().get(request.user_id)
    if user is None:
        raise Unauthorized
    return UserResponse.model_validate(user)


@router.get(
    "/users/export",
    auth=administrator,
    openapi_extra=problems(403, also=LINES),
)
def export_users(request: Request) -> StreamingHttpResponse:
    """Every user, one JSON object a line, streamed. For administrators."""
    lines = _lines()
    first = next(lines)  # before the status is sent, so that it can still be another
    return StreamingHttpResponse(_begun(first, lines), content_type="application/x-ndjson")


@router.get("/users/{user_id}", response=UserResponse, auth=identified, openapi_extra=problems(404))
def get_user(request: Request, user_id: Identifier) -> UserResponse:
    """A user: oneself, or anybody for administrators."""
    user = UserService().get(user_id, reader=request.auth, reader_id=request.user_id)
    return UserResponse.model_validate(user)


def _begun(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _lines() -> Iterator[bytes]:
    with closing(UserRepository().stream()) as users:
        to_json = TypeAdapter(UserResponse).dump_json
        lines = bytearray()
        for user in users:
            lines += to_json(UserResponse.model_validate(user)) + b"\n"
            if len(lines) > CHUNK_BYTES:
                yield bytes(lines)
                lines.clear()
        yield bytes(lines)
