"""`/auth` over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from app.auth.schemas import RefreshRequest, TokenForm, TokenResponse
from app.auth.service import AuthService
from app.db import Db, get_database
from app.dependencies import CurrentSettings
from app.errors import ProblemResponse
from app.openapi import problems
from app.problems import Unauthorized
from app.rate_limits import RateLimits, caller
from app.users import authenticate, require_local_accounts

public = APIRouter(
    prefix="/auth", tags=["auth"], dependencies=[Depends(require_local_accounts)], responses=problems(401, 404)
)


async def get_auth(request: Request, db: Db, settings: CurrentSettings) -> AuthService:
    """Log-ins within the request's unit of work."""
    return AuthService(db, request.app.state.tokens, settings.refresh_token_days)


Auth = Annotated[AuthService, Depends(get_auth)]


@public.post("/token", responses=problems(429))
async def log_in(form: Annotated[TokenForm, Form()], auth: Auth, request: Request) -> TokenResponse:
    """Log in: a password for tokens."""
    limits: RateLimits = request.app.state.rate_limits
    await limits.hit_log_in(caller(request), form.username)
    account = await authenticate(get_database(request), form.username, form.password)
    if account is None:
        raise Unauthorized("The e-mail address or the password is wrong.")
    return await auth.log_in(account)


@public.post("/refresh", response_model=TokenResponse)
async def refresh(data: RefreshRequest, auth: Auth, request: Request) -> TokenResponse | Response:
    """A refresh token for new tokens. It is good for one use; using it again ends the log-in."""
    if tokens := await auth.refresh(data.refresh_token):
        return tokens
    # Answered, not raised: the end of the family must be committed.
    return ProblemResponse(Unauthorized("The refresh token is not valid."), request.url.path)
