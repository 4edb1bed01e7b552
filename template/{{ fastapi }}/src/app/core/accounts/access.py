"""Registration, log-in and changes of accounts. A slice with routes of its own for these calls the same functions."""

from typing import cast

from fastapi import Request
from pydantic import Secret

from app.core.accounts.auth.identity import require_local_accounts
from app.core.accounts.auth.repository import SessionRepository
from app.core.accounts.auth.schemas import Origin, TokenResponse
from app.core.accounts.auth.service import AuthService, access_token, authenticate
from app.core.accounts.email.verification import VerificationService
from app.core.accounts.models import User
from app.core.accounts.repository import UserRepository
from app.core.accounts.schemas import (
    EmailRequest,
    PasswordOnly,
    RegistrationClosed,
    UserCreate,
    UserUpdate,
    as_registered,
    checked,
)
from app.core.accounts.service import UserService, logged_in
from app.core.database.sessions import ReadSession, WriteSession
from app.core.http.limits.rates import client_address
from app.core.http.state import State, state_of
from app.core.problems import Forbidden, Unauthorized
from app.core.security.passwords import hash_password, in_turn
from app.core.security.tokens import LocalTokens
from app.core.security.users import CurrentUser


async def require_registration(request: Request) -> None:
    """Raise Forbidden when REGISTRATION is closed, and TooManyRequests above REGISTRATION_RATE."""
    state = state_of(request.app)
    await require_local_accounts(state)
    if state.settings.registration == "closed":
        raise RegistrationClosed
    await state.rate_limits.hit(state.settings.registration_rate, "registration", client_address(request))


async def register_user(
    request: Request, session: WriteSession, *, name: str, email: str, password: Secret[str]
) -> User:
    """Register a user like `POST /users`. Raise Conflict when the address is in use.

    Raise Forbidden with VERIFY_EMAIL, and with REGISTRATION=invited.
    """
    await require_registration(request)
    settings = state_of(request.app).settings
    if settings.verify_email or settings.registration == "invited":
        raise Forbidden("This service verifies addresses or invitations: register at POST /users.")
    data = checked(UserCreate, name=name, email=email, password=password)
    return await UserService(session).create(data)


async def log_in(
    request: Request, session: WriteSession, *, email: str, password: Secret[str]
) -> tuple[User, TokenResponse]:
    """Return the user and the tokens of a new session, like `POST /auth/token`.

    Raise Unauthorized for a wrong password, TooManyRequests above LOGIN_RATE.
    """
    state = state_of(request.app)
    await require_local_accounts(state)
    email = as_registered(email)
    await state.rate_limits.hit_log_in(client_address(request), email)
    user = await authenticate(state.database, email, password)
    origin = Origin.of(client_address(request), request.headers.get("user-agent", ""))
    if user and (tokens := await auth_service(session, state).log_in(user, origin)):
        return user, tokens
    raise Unauthorized("The e-mail address or the password is wrong.")


async def issue_access_token(request: Request, session: ReadSession, user: CurrentUser) -> str:
    """Return a new access token with the current rights. Raise Unauthorized unless user and session are active.

    Raise Forbidden for an API key: the token would have more rights, and outlive the key.
    """
    state = state_of(request.app)
    await require_local_accounts(state)
    if user.key_id is not None:
        raise Forbidden
    found = await UserRepository(session).get_with_roles(user.id, fresh=True)
    if found is None or not found.is_active:
        raise Unauthorized
    active = await SessionRepository(session).get_active(user.session_id) if user.session_id is not None else None
    if user.session_id is not None and active is None:
        raise Unauthorized
    return access_token(cast("LocalTokens", state.tokens), found, logged_in(found).scopes, active)


async def change_account(
    request: Request,
    session: WriteSession,
    user: User,
    *,
    email: str | None = None,
    password: Secret[str] | None = None,
) -> None:
    """Change the address, like `PATCH /users/me`, or the password. A new password ends all sessions."""
    if email is not None:
        await change_email(request, session, user, checked(EmailRequest, email=email).email)
    if password is not None:
        checked(PasswordOnly, password=password)
        await UserService(session).set_password(user, await in_turn(hash_password, password.get_secret_value()))


async def change_email(request: Request, session: WriteSession, user: User, email: str) -> None:
    """Change the address. With VERIFY_EMAIL, send a message to it: it counts once it is verified.

    Raise Conflict when the address is in use, TooManyRequests above EMAIL_RATE or EMAIL_ADDRESS_RATE. Lock first.
    """
    state = state_of(request.app)
    if email != user.email:
        await state.rate_limits.hit_email("change", str(user.id), email)
    if state.settings.verify_email:
        await VerificationService(session).request_change(user, email)
    else:
        await UserService(session).change(user, UserUpdate(email=email))


def auth_service(session: WriteSession, state: State) -> AuthService:
    return AuthService(session, cast("LocalTokens", state.tokens), state.settings.refresh_token_days)
