"""Routes of `/auth`."""

from typing import Annotated, cast

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from app.core.accounts.identity import require_local_accounts
from app.core.accounts.schemas import RefreshRequest, TokenForm, TokenResponse
from app.core.accounts.service import authenticate
from app.core.accounts.sessions import AuthService
from app.core.database.sessions import Transaction
from app.core.http.dependencies import CurrentState
from app.core.http.middleware import ProblemResponse
from app.core.http.openapi import problem_responses
from app.core.http.rate_limits import client_address
from app.core.problems import Unauthorized
from app.core.security.tokens import LocalTokens

public = APIRouter(
    prefix="/auth", tags=["auth"], dependencies=[Depends(require_local_accounts)], responses=problem_responses(401, 404)
)


async def get_auth(session: Transaction, state: CurrentState) -> AuthService:
    """Return the service for log-in, within the transaction of the request."""
    return AuthService(session, cast("LocalTokens", state.tokens), state.settings.refresh_token_days)


Auth = Annotated[AuthService, Depends(get_auth)]


@public.post("/token", responses=problem_responses(429))
async def log_in(
    form: Annotated[TokenForm, Form()], auth: Auth, state: CurrentState, request: Request
) -> TokenResponse:
    """Log in. Returns tokens for an e-mail address and a password."""
    await state.rate_limits.hit_log_in(client_address(request), form.username)
    user = await authenticate(state.database, form.username, form.password)
    if user and (tokens := await auth.log_in(user)):
        return tokens
    raise Unauthorized("The e-mail address or the password is wrong.")


@public.post("/refresh", response_model=TokenResponse, responses=problem_responses(429))
async def refresh(data: RefreshRequest, auth: Auth, state: CurrentState, request: Request) -> TokenResponse | Response:
    """Refresh the tokens. A refresh token is valid once; its reuse ends the session."""
    await state.rate_limits.hit(state.settings.refresh_rate, "refresh", client_address(request))
    if tokens := await auth.refresh(data.refresh_token):
        return tokens
    # Return the 401 instead of raising it: an exception would roll back the revocation of the family.
    return ProblemResponse(Unauthorized("The refresh token is not valid."), request.url.path, state.error_body)
