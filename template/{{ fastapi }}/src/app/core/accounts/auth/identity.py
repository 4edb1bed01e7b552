"""Authentication: the token of a request, its scopes and its user."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import cache
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection
from fastapi.security import OAuth2PasswordBearer
from fastapi.security.base import SecurityBase
from fastapi.security.utils import get_authorization_scheme_param
from structlog.contextvars import bind_contextvars

from app.core.accounts.auth.repository import SessionRepository
from app.core.accounts.keys.service import verify_key
from app.core.accounts.keys.texts import KEY_PREFIX
from app.core.accounts.repository import UserRepository
from app.core.accounts.schemas import ProvidedUser
from app.core.accounts.service import UserService
from app.core.config import API_PREFIX
from app.core.http.dependencies import USER_ID, CurrentState
from app.core.http.openapi.document import LOG_IN, OPTIONAL
from app.core.http.state import State
from app.core.idempotency.keys import CALLER
from app.core.problems import NotFound, Unauthorized
from app.core.security.bearer import AccessToken
from app.core.security.tokens import REVOCATION_MARGIN, Reading
from app.core.security.users import CurrentUser


class BearerToken(SecurityBase):
    """Returns the token or API key. Raises Unauthorized if it is missing or invalid, or the user is inactive."""

    def __init__(self) -> None:
        # Only for the OpenAPI document: OAuth2PasswordBearer cannot read a WebSocket.
        bearer = OAuth2PasswordBearer(tokenUrl=f"{API_PREFIX}/auth/token", scheme_name="token")
        self.model = bearer.model
        self.scheme_name = bearer.scheme_name

    async def __call__(self, request: HTTPConnection) -> AccessToken:
        state: State = request.app.state.core
        scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
        if scheme.lower() not in {"bearer", state.settings.token_scheme.lower()} or not token:
            raise Unauthorized
        if token.startswith(KEY_PREFIX):
            verified = await verify_key(state.database, token)
            request.scope[CALLER] = verified.subject
            return verified
        verifier = state.tokens
        if verifier.may_wait(token):
            verified = await asyncio.to_thread(verifier.verify, token)
        else:
            verified = verifier.verify(token)
        bind_contextvars(user=verified.subject)
        request.scope[CALLER] = verified.subject
        if (issuer := state.settings.jwt_issuer) is None:
            if begun := state.revocations.begin():
                await read_revocations(state, begun)
            state.revocations.check(verified)
        else:
            async with state.database.read_sessions() as session:
                user = await UserRepository(session).get_by_subject(issuer, verified.subject)
            if user and not user.is_active:
                raise Unauthorized
            verified = verified._replace(user_id=user.id if user else None)
        return verified


async def read_revocations(state: State, begun: tuple[Reading, bool] | None) -> None:
    """Read the latest revocations from the database, or wait for the request that reads them."""
    while begun:
        reading, is_own = begun
        if is_own:
            try:
                async with state.database.read_sessions() as session:
                    age = timedelta(minutes=state.settings.access_token_minutes) + REVOCATION_MARGIN
                    ended = await SessionRepository(session).ended_since(age)
                    revoked = await UserRepository(session).revoked_since(age)
            except BaseException as error:
                reading.fail(error)
                raise
            state.revocations.update(reading, revoked, ended)
            return
        if await asyncio.wrap_future(reading):
            return
        begun = state.revocations.begin()


class OptionalToken(BearerToken):
    """Returns None for callers without an Authorization header. Raises Unauthorized for an invalid token."""

    def __init__(self) -> None:
        super().__init__()
        self.scheme_name = OPTIONAL

    async def __call__(self, request: HTTPConnection) -> AccessToken | None:  # type: ignore[override]
        return await super().__call__(request) if "authorization" in request.headers else None


authenticated = BearerToken()
VerifiedToken = Annotated[AccessToken, Depends(authenticated)]


class LogInRequired(SecurityBase):
    """Raises Forbidden for an API key, so that a stolen key cannot create keys or take over the account."""

    model = authenticated.model
    scheme_name = LOG_IN

    async def __call__(self, token: VerifiedToken) -> None:
        token.require_log_in()


require_log_in = LogInRequired()


@cache
def require_scope(scope: str) -> Callable[[AccessToken], Awaitable[None]]:
    """Return a dependency that raises Forbidden unless the token of the request has `scope`."""

    async def check(token: VerifiedToken) -> None:
        token.require(scope)

    return check


async def current_user(request: HTTPConnection, token: VerifiedToken) -> CurrentUser:
    """Return the user who sends the request.

    The service's own tokens and keys have the id of the user. A token of the identity provider has a subject instead:
    the first request creates the user. Raise Forbidden for a machine.
    """
    state: State = request.app.state.core
    if token.user_id is not None:
        request.scope[USER_ID] = token.user_id
        return CurrentUser(token.user_id, token.scopes, logged_in_at=token.logged_in_at, key_id=token.key_id)
    if (issuer := state.settings.jwt_issuer) is None:
        request.scope[USER_ID] = int(token.subject)
        return CurrentUser(int(token.subject), token.scopes, token.session_id)
    claims = await asyncio.to_thread(token.profile)
    # In a separate transaction: the new user stays even if the request fails.
    async with state.database.sessions.begin() as session:
        user = await UserService(session).enter(ProvidedUser.of(issuer, token.subject, claims))
    return CurrentUser(user.id, token.scopes, logged_in_at=token.logged_in_at)


async def optional_user(
    request: HTTPConnection, token: Annotated[AccessToken | None, Depends(OptionalToken())]
) -> CurrentUser | None:
    """Return the user who sends the request, or None for a caller without a token, and for a machine."""
    return await current_user(request, token) if token and not token.is_machine else None


async def require_local_accounts(state: CurrentState) -> None:
    """Raise NotFound when an identity provider manages the accounts: the service has no passwords then."""
    if state.settings.jwt_issuer is not None:
        raise NotFound


LoggedIn = Annotated[CurrentUser, Depends(current_user)]
MaybeLoggedIn = Annotated[CurrentUser | None, Depends(optional_user)]
"""For a route of a `public` router that also answers callers without a token."""
