"""The token of a request: its scopes, and which user it belongs to."""

from functools import partial
from types import MappingProxyType

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.utils.functional import SimpleLazyObject
from structlog.contextvars import bind_contextvars

from app.core.accounts.models import User
from app.core.accounts.repository import UserRepository
from app.core.accounts.schemas import ProvidedUser
from app.core.accounts.service import UserService
from app.core.config import API_PREFIX
from app.core.http.requests import Request
from app.core.problems import Forbidden, NotFound, Unauthorized
from app.core.security.tokens import AccessToken
from app.core.security.users import CurrentUser


class BearerToken:
    """Asks the caller of a route for a token. Unauthorized without a valid one, and for a provider's inactive user."""

    name = "token"
    model = MappingProxyType(
        {"type": "oauth2", "flows": {"password": {"scopes": {}, "tokenUrl": f"{API_PREFIX}/auth/token"}}},
    )

    def verified(self, request: Request) -> AccessToken:
        """Return the verified token of the request, with the user whom it names."""
        scheme, _, text = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() not in {"bearer", request.state.settings.token_scheme.lower()}:
            raise Unauthorized
        token = request.state.tokens.verify(text.strip())
        bind_contextvars(user=token.subject)
        issuer = request.state.settings.jwt_issuer
        if issuer is None:
            return token._replace(user_id=int(token.subject))
        user = UserRepository().get_by_subject(issuer, token.subject)
        if user and not user.is_active:
            raise Unauthorized
        return token._replace(user_id=user.id if user else None)


class UserRequired(BearerToken):
    """Gives `request.auth` the user of the token.

    The service's own tokens name the user's key. A token of the identity provider has the provider's name for the user,
    who is entered at the first request, before the request's transaction begins: the new user stays even if the request
    itself fails.
    """

    def __call__(self, request: Request) -> CurrentUser:
        token = self.verified(request)
        if token.user_id is not None:
            return _identify(request, token.user_id, token.scopes)
        data = ProvidedUser.of(request.state.settings.jwt_issuer or "", token.subject, token.claims)
        with transaction.atomic():
            return _identify(request, UserService().enter(data).id, token.scopes)


class ScopeRequired(BearerToken):
    """Refuses tokens without a scope. The token need not name a user: a machine has a token, and is no user."""

    def __init__(self, scope: str) -> None:
        self.scope = scope

    def __call__(self, request: Request) -> CurrentUser:
        token = self.verified(request)
        token.require(self.scope)
        return Machine(token.scopes) if token.user_id is None else _identify(request, token.user_id, token.scopes)


class Machine(CurrentUser):
    """The sender of a token that names no user of the service. Its `id` is Forbidden."""

    def __init__(self, scopes: frozenset[str]) -> None:
        object.__setattr__(self, "scopes", scopes)  # the class is frozen

    @property
    def id(self) -> int:
        raise Forbidden("This needs a user, and the token names none that the service knows.")


def _identify(request: Request, user_id: int, scopes: frozenset[str]) -> CurrentUser:
    """Return the user of the token. `request.user` is the same user as a model, read when it is first used."""
    request.user = SimpleLazyObject(partial(_read, user_id))  # type: ignore[assignment]  # as Django's own middleware
    return CurrentUser(user_id, scopes)


def _read(user_id: int) -> User | AnonymousUser:
    return UserRepository().get(user_id) or AnonymousUser()


def require_scope(scope: str) -> ScopeRequired:
    """Make the `auth` of a route that raises Forbidden unless the token of the request holds `scope`."""
    return ScopeRequired(scope)


def require_local_accounts(request: Request) -> None:
    """NotFound where an identity provider keeps the accounts: there are no passwords here then."""
    if request.state.settings.jwt_issuer is not None:
        raise NotFound


logged_in = UserRequired()
