"""Routes of `/auth`."""

from typing import Annotated

from django.db import transaction
from ninja import Router

from app.core.accounts import access
from app.core.accounts.auth.identity import require_local_accounts
from app.core.accounts.schemas import RefreshRequest, TokenForm, TokenResponse
from app.core.http.dependencies import first
from app.core.http.errors import ProblemResponse
from app.core.http.limits.rates import client_address
from app.core.http.openapi.document import Form, problem_responses
from app.core.http.state import Request
from app.core.problems import Unauthorized

public = Router(tags=["auth"])


@public.post("/auth/token", response=TokenResponse, openapi_extra=problem_responses(401, 404, 429))
@first(require_local_accounts)
@transaction.non_atomic_requests
def log_in(request: Request, form: Annotated[TokenForm, Form(...)]) -> TokenResponse:
    """Log in. Returns tokens for an e-mail address and a password."""
    _, tokens = access.log_in(request, email=form.username, password=form.password)
    return tokens


@public.post("/auth/refresh", response=TokenResponse, openapi_extra=problem_responses(401, 404, 429))
@first(require_local_accounts)
@transaction.atomic
def refresh(request: Request, data: RefreshRequest) -> TokenResponse | ProblemResponse:
    """Refresh the tokens. A refresh token is valid once; its reuse ends the session."""
    request.state.rate_limits.hit(request.state.settings.refresh_rate, "refresh", client_address(request))
    if tokens := access.auth_service(request).refresh(data.refresh_token):
        return tokens
    # Return the 401 instead of raising it: an exception would roll back the revocation of the family.
    return ProblemResponse(Unauthorized("The refresh token is not valid."), request.path)
