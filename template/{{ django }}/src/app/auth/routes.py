"""`/auth` over HTTP."""

from typing import Annotated, cast

from django.db import transaction
from ninja import Router

from app.auth.schemas import RefreshRequest, TokenForm, TokenResponse
from app.auth.service import AuthService
from app.dependencies import first
from app.errors import ProblemResponse
from app.openapi import Form, problems
from app.problems import Unauthorized
from app.rate_limits import caller
from app.requests import Request
from app.security import LocalTokens
from app.users import authenticate, require_local_accounts

public = Router(tags=["auth"])


def get_auth(request: Request) -> AuthService:
    """Log-ins within the request's unit of work."""
    service = request.service
    return AuthService(cast("LocalTokens", service.tokens), service.settings.refresh_token_days)


@public.post("/auth/token", response=TokenResponse, openapi_extra=problems(401, 404, 429))
@first(require_local_accounts)
@transaction.non_atomic_requests
def log_in(request: Request, form: Annotated[TokenForm, Form(...)]) -> TokenResponse:
    """Log in: a password for tokens."""
    request.service.rate_limits.hit_log_in(caller(request), form.username)
    account = authenticate(form.username, form.password)
    if account is None:
        raise Unauthorized("The e-mail address or the password is wrong.")
    with transaction.atomic():
        return get_auth(request).log_in(account)


@public.post("/auth/refresh", response=TokenResponse, openapi_extra=problems(401, 404))
@first(require_local_accounts)
def refresh(request: Request, data: RefreshRequest) -> TokenResponse | ProblemResponse:
    """A refresh token for new tokens. It is good for one use; using it again ends the log-in."""
    if tokens := get_auth(request).refresh(data.refresh_token):
        return tokens
    # Answered, not raised: the end of the family must be committed.
    return ProblemResponse(Unauthorized("The refresh token is not valid."), request.path)
