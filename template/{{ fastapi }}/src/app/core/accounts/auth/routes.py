"""Routes of `/auth`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from app.core.accounts import access
from app.core.accounts.auth.identity import require_local_accounts
from app.core.accounts.schemas import RefreshRequest, TokenForm, TokenResponse
from app.core.database.sessions import Transaction
from app.core.http.dependencies import CurrentState
from app.core.http.limits.rates import client_address
from app.core.http.middleware import ProblemResponse
from app.core.http.openapi.document import problem_responses
from app.core.problems import Unauthorized

public = APIRouter(
    prefix="/auth", tags=["auth"], dependencies=[Depends(require_local_accounts)], responses=problem_responses(401, 404)
)


@public.post("/token", responses=problem_responses(429))
async def log_in(form: Annotated[TokenForm, Form()], session: Transaction, request: Request) -> TokenResponse:
    """Log in. Returns tokens for an e-mail address and a password."""
    _, tokens = await access.log_in(request, session, email=form.username, password=form.password)
    return tokens


@public.post("/refresh", response_model=TokenResponse, responses=problem_responses(429))
async def refresh(
    data: RefreshRequest, session: Transaction, state: CurrentState, request: Request
) -> TokenResponse | Response:
    """Refresh the tokens. A refresh token is valid once; its reuse ends the session."""
    await state.rate_limits.hit(state.settings.refresh_rate, "refresh", client_address(request))
    if tokens := await access.auth_service(session, state).refresh(data.refresh_token):
        return tokens
    # Return the 401 instead of raising it: an exception would roll back the revocation of the family.
    return ProblemResponse(Unauthorized("The refresh token is not valid."), request.url.path, state.error_body)
