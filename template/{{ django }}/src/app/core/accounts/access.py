"""Registration, log-in and changes of accounts. A slice with routes of its own for these calls the same functions."""

from typing import cast

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.http import HttpRequest
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
from app.core.http.limits.rates import client_address
from app.core.http.state import State
from app.core.problems import Forbidden, Unauthorized
from app.core.security.tokens import LocalTokens
from app.core.security.users import CurrentUser


def require_registration(request: HttpRequest) -> None:
    """Raise Forbidden when REGISTRATION is closed, and TooManyRequests above REGISTRATION_RATE."""
    state = _state(request)
    if state.settings.registration == "closed":
        raise RegistrationClosed
    state.rate_limits.hit(state.settings.registration_rate, "registration", client_address(request))


def register_user(request: HttpRequest, *, name: str, email: str, password: Secret[str]) -> User:
    """Register a user like `POST /users`. Raise Conflict when the address is in use.

    Raise Forbidden with VERIFY_EMAIL, and with REGISTRATION=invited.
    """
    require_registration(request)
    settings = _state(request).settings
    if settings.verify_email or settings.registration == "invited":
        raise Forbidden("This service verifies addresses or invitations: register at POST /users.")
    data = checked(UserCreate, name=name, email=email, password=password)
    return UserService().create(data, make_password(password.get_secret_value()))


def log_in(request: HttpRequest, *, email: str, password: Secret[str]) -> tuple[User, TokenResponse]:
    """Return the user and the tokens of a new session, like `POST /auth/token`.

    Raise Unauthorized for a wrong password, TooManyRequests above LOGIN_RATE. Outside of a transaction, no connection
    is held while the password is hashed.
    """
    state = _state(request)
    email = as_registered(email)
    state.rate_limits.hit_log_in(client_address(request), email)
    user = authenticate(email, password)
    origin = Origin.of(client_address(request), request.headers.get("User-Agent", ""))
    with transaction.atomic():
        tokens = auth_service(request).log_in(user, origin) if user else None
    if user is None or tokens is None:
        raise Unauthorized("The e-mail address or the password is wrong.")
    return user, tokens


def issue_access_token(request: HttpRequest, user: CurrentUser) -> str:
    """Return a new access token with the current rights. Raise Unauthorized unless user and session are active.

    Raise Forbidden for an API key: the token would have more rights, and outlive the key.
    """
    tokens = cast("LocalTokens", _state(request).tokens)
    if user.key_id is not None:
        raise Forbidden
    found = UserRepository().get(user.id)
    if found is None or not found.is_active:
        raise Unauthorized
    active = SessionRepository().active.filter(id=user.session_id).first() if user.session_id is not None else None
    if user.session_id is not None and active is None:
        raise Unauthorized
    return access_token(tokens, found, logged_in(found).scopes, active)


def change_account(
    request: HttpRequest, user: User, *, email: str | None = None, password: Secret[str] | None = None
) -> None:
    """Change the address, like `PATCH /users/me`, or the password. A new password ends all sessions."""
    if email is not None:
        change_email(request, user, checked(EmailRequest, email=email).email)
    if password is not None:
        checked(PasswordOnly, password=password)
        UserService().set_password(user, password)


def change_email(request: HttpRequest, user: User, email: str) -> None:
    """Change the address. With VERIFY_EMAIL, send a message to it: it counts once it is verified.

    Raise Conflict when the address is in use, TooManyRequests above EMAIL_RATE or EMAIL_ADDRESS_RATE. Lock first.
    """
    state: State = request.state  # type: ignore[attr-defined]  # set by core's middleware
    if email != user.email:
        state.rate_limits.hit_email("change", str(user.id), email)
    if state.settings.verify_email:
        VerificationService().request_change(user, email)
    else:
        UserService().change(user, UserUpdate(email=email))


def auth_service(request: HttpRequest) -> AuthService:
    """Return the service for sessions, within the transaction of the request."""
    state = _state(request)
    return AuthService(cast("LocalTokens", state.tokens), state.settings.refresh_token_days)


def _state(request: HttpRequest) -> State:
    """Return the state of the application. Raise NotFound when an identity provider manages the accounts."""
    require_local_accounts(request)
    state: State = request.state  # type: ignore[attr-defined]  # set by core's middleware
    return state
