"""Routes of `/auth`."""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Annotated, Any

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import transaction
from ninja import Router, Status
from ninja.decorators import decorate_view

from app.core.accounts import access
from app.core.accounts.auth.identity import expire_revocations, require_local_accounts
from app.core.accounts.auth.schemas import (
    FORM,
    InvalidGrant,
    InvalidRequest,
    RevocationForm,
    TokenForm,
    TokenResponse,
    check_form,
)
from app.core.http.dependencies import first
from app.core.http.limits.rates import client_address
from app.core.http.openapi.document import Form, problem_responses
from app.core.http.state import Request
from app.core.problems import Unauthorized, Unprocessable

public = Router(tags=["auth"])

ERRORS = problem_responses(400, 404, 429)


def oauth_form[F: Callable[..., Any]](view: F) -> F:
    """Answer an invalid form, and a body that is not a form, with 400 `invalid_request` (RFC 6749, section 5.2)."""

    def decorator(run: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(run)
        def handle_form(request: Request, **path: Any) -> Any:
            if request.content_type != FORM:
                raise InvalidRequest
            try:
                form = request.POST
            except (BadRequest, SuspiciousOperation):  # another encoding than UTF-8, too many parameters
                raise InvalidRequest from None
            check_form((name, value) for name, values in form.lists() for value in values)
            try:
                return run(request, **path)
            except Unprocessable as error:
                raise InvalidRequest.of(error) from None

        return handle_form

    decorated: F = decorate_view(decorator)(view)
    return decorated


@public.post("/auth/token", response=TokenResponse, openapi_extra=ERRORS)
@first(require_local_accounts)
@oauth_form
@transaction.non_atomic_requests
def issue_token(request: Request, form: Annotated[TokenForm, Form(...)]) -> TokenResponse:
    """Log in or refresh tokens. A refresh token is valid once; its reuse ends the session."""
    if form.password and form.grant_type == "password":
        try:
            _, tokens = access.log_in(request, email=form.username, password=form.password)
        except Unauthorized as error:
            raise InvalidGrant(error.detail) from None
        return tokens
    request.state.rate_limits.hit(request.state.settings.refresh_rate, "refresh", client_address(request))
    with transaction.atomic():
        refreshed = access.auth_service(request).refresh(form.refresh_token)
        expire_revocations(request)
    if refreshed is None:  # raised after the commit: a rollback would undo the end of the session
        raise InvalidGrant
    return refreshed


@public.post("/auth/revoke", response={HTTPStatus.OK: None}, openapi_extra=ERRORS)
@first(require_local_accounts)
@oauth_form
@transaction.atomic
def revoke_token(request: Request, form: Annotated[RevocationForm, Form(...)]) -> Status[None]:
    """Log out. Ends the session of a refresh token or access token; an unknown token is ignored."""
    request.state.rate_limits.hit(request.state.settings.refresh_rate, "refresh", client_address(request))
    access.auth_service(request).revoke(form.token)
    expire_revocations(request)
    return Status(HTTPStatus.OK, None)
