"""Authentication: the token of a request, its scopes and its user."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial, wraps
from types import MappingProxyType
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from structlog.contextvars import bind_contextvars

from app.core.accounts.auth.repository import SessionRepository
from app.core.accounts.keys.service import verify_key
from app.core.accounts.keys.texts import KEY_PREFIX
from app.core.accounts.models import User
from app.core.accounts.repository import UserRepository
from app.core.accounts.schemas import ProvidedUser
from app.core.accounts.service import UserService
from app.core.config import API_PREFIX
from app.core.database.transactions import give_back
from app.core.http.state import PublicRequest, Request, State
from app.core.idempotency.keys import CALLER
from app.core.problems import Forbidden, NotFound, Unauthorized
from app.core.security.bearer import AccessToken
from app.core.security.tokens import REVOCATION_MARGIN, Reading
from app.core.security.users import CurrentUser


class BearerToken:
    """Requires a token or API key. Raises Unauthorized without one, and for an inactive user of a provider."""

    name = "token"
    is_optional = False
    accepts_keys = True
    model = MappingProxyType(
        {"type": "oauth2", "flows": {"password": {"scopes": {}, "tokenUrl": f"{API_PREFIX}/auth/token"}}},
    )

    def verified(self, request: Request) -> AccessToken:
        """Return the verified token of the request, with the id of its user."""
        scheme, _, text = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() not in {"bearer", request.state.settings.token_scheme.lower()}:
            raise Unauthorized
        if (text := text.strip()).startswith(KEY_PREFIX):
            token = verify_key(text)
            request.META[CALLER] = token.subject
            return token
        token = request.state.tokens.verify(text)
        bind_contextvars(user=token.subject)
        request.META[CALLER] = token.subject
        issuer = request.state.settings.jwt_issuer
        if issuer is None:
            if begun := request.state.revocations.begin():
                read_revocations(request.state, begun)
            request.state.revocations.check(token)
            return token._replace(user_id=int(token.subject))
        user = UserRepository().get_by_subject(issuer, token.subject)
        if user and not user.is_active:
            raise Unauthorized
        return token._replace(user_id=user.id if user else None)


def read_revocations(state: State, begun: tuple[Reading, bool] | None) -> None:
    """Read the latest revocations from the database, or wait for the request that reads them."""
    while begun:
        reading, is_own = begun
        if is_own:
            try:
                age = timedelta(minutes=state.settings.access_token_minutes) + REVOCATION_MARGIN
                ended = list(SessionRepository().ended_since(age))
                revoked = UserRepository().revoked_since(age)
            except BaseException as error:
                reading.fail(error)
                raise
            state.revocations.update(reading, revoked, ended)
            return
        if reading.result():
            return
        begun = state.revocations.begin()


def expire_revocations(request: Request) -> None:
    """Read the revocations before the next request: now, and again after the commit of the current transaction.

    Another request may read them before the commit.
    """
    request.state.revocations.expire()
    transaction.on_commit(request.state.revocations.expire)


class UserRequired(BearerToken):
    """Sets `request.auth` to the user of the token, and `request.user` to the model of this user.

    The service's own tokens have the id of the user. A token of the identity provider has a subject instead: the first
    request creates the user, in a separate transaction. So the new user stays even if the request fails.

    With a scope, raises Forbidden unless the token has it. Unless `user` is true, the token may then belong to a
    machine instead of a user.
    """

    def __init__(self, scope: str | None = None, *, user: bool = True) -> None:
        self.scope = scope
        self.user = user

    def __call__(self, request: Request) -> CurrentUser:
        token = self.verified(request)
        if not self.accepts_keys:
            token.require_log_in()
        if self.scope is not None:
            token.require(self.scope)
        user_id = token.user_id
        if user_id is None:
            if not self.user:
                return Machine(token.scopes)
            if self.is_optional and token.is_machine:
                return _WITHOUT_USER
            user_id = _enter(request, token)
        # Loaded on first use, as by Django's own middleware.
        request.user = SimpleLazyObject(partial(_read, user_id))  # type: ignore[assignment]
        return CurrentUser(user_id, token.scopes, token.session_id, token.logged_in_at, token.key_id)


class LogInRequired(UserRequired):
    """Raises Forbidden for an API key, so that a stolen key cannot create keys or take over the account."""

    accepts_keys = False


class UserOptional(UserRequired):
    """Sets `request.auth` to the user of the token, or to None for a caller without a token, and for a machine."""

    is_optional = True

    def __call__(self, request: Request) -> Any:
        if "HTTP_AUTHORIZATION" not in request.META:
            return _WITHOUT_USER
        return super().__call__(request)

    @staticmethod
    def around[F: Callable[..., Any]](view: F) -> F:
        """Set `request.auth` to None for a caller without a token. django-ninja itself refuses a false `auth`."""

        @wraps(view)
        def called(request: PublicRequest, **values: Any) -> Any:
            if request.auth is _WITHOUT_USER:
                request.auth = None
            return view(request, **values)

        return called  # type: ignore[return-value]


class Machine(CurrentUser):
    """The caller with a token that does not name a user of the service. Access to `id` raises Forbidden."""

    def __init__(self, scopes: frozenset[str]) -> None:
        object.__setattr__(self, "scopes", scopes)  # the class is frozen

    @property
    def id(self) -> int:
        raise Forbidden("This request needs a user, but the token does not name a known user.")


_WITHOUT_USER = Machine(frozenset())


def _enter(request: Request, token: AccessToken) -> int:
    """Return the id of the user, who is created at the first request. Raise Forbidden for a machine."""
    give_back()
    data = ProvidedUser.of(request.state.settings.jwt_issuer or "", token.subject, token.profile())
    with transaction.atomic():
        return UserService().enter(data).id


def _read(user_id: int) -> User | AnonymousUser:
    return UserRepository().get(user_id) or AnonymousUser()


def require_scope(scope: str, *, user: bool = False) -> UserRequired:
    """Return an `auth` for a route that raises Forbidden unless the token of the request has `scope`.

    With `user`, the first request of a user of the identity provider creates the user. Without, a token that does not
    name a known user is a machine's: `request.auth.id` raises Forbidden.
    """
    return UserRequired(scope, user=user)


def require_local_accounts(request: HttpRequest) -> None:
    """Raise NotFound when an identity provider manages the accounts: the service has no passwords then."""
    state: State = request.state  # type: ignore[attr-defined]  # set by core's middleware
    if state.settings.jwt_issuer is not None:
        raise NotFound


logged_in = UserRequired()
require_log_in = LogInRequired()
maybe_logged_in = UserOptional()
"""The `auth` of a route of a `public` router that also answers callers without a token. See PublicRequest."""
