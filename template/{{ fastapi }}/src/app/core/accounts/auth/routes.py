"""Routes of `/auth`."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from app.core.accounts import access
from app.core.accounts.auth.identity import require_local_accounts
from app.core.accounts.auth.schemas import (
    FORM,
    InvalidGrant,
    InvalidRequest,
    RevocationForm,
    TokenForm,
    TokenResponse,
    check_form,
)
from app.core.database.on_commit import on_commit
from app.core.database.sessions import Transaction
from app.core.http.dependencies import CurrentState
from app.core.http.limits.rates import client_address
from app.core.http.middleware import ProblemResponse
from app.core.http.openapi.document import problem_responses
from app.core.http.routing import media_type
from app.core.problems import Unauthorized, Unprocessable


class OAuthRoute(APIRoute):
    """Answers an invalid form, and a body that is not a form, with 400 `invalid_request` (RFC 6749, section 5.2)."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_form(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                raise InvalidRequest.of(Unprocessable.from_pydantic(error.errors())) from None
            except HTTPException as error:  # of Starlette's parser, for example for too many parameters
                if error.status_code != HTTPStatus.BAD_REQUEST:
                    raise
                raise InvalidRequest from None

        return handle_form


async def check_parameters(request: Request) -> None:
    """Raise InvalidRequest unless the body is a form that `check_form` accepts."""
    if media_type(request) != FORM:
        raise InvalidRequest
    check_form((await request.form()).multi_items())


public = APIRouter(
    prefix="/auth",
    tags=["auth"],
    dependencies=[Depends(require_local_accounts), Depends(check_parameters)],
    responses=problem_responses(400, 404, 429),
    route_class=OAuthRoute,
)


@public.post("/token", response_model=TokenResponse)
async def issue_token(
    form: Annotated[TokenForm, Form()], session: Transaction, state: CurrentState, request: Request
) -> TokenResponse | Response:
    """Log in or refresh tokens. A refresh token is valid once; its reuse ends the session."""
    if form.password and form.grant_type == "password":
        try:
            _, tokens = await access.log_in(request, session, email=form.username, password=form.password)
        except Unauthorized as error:
            raise InvalidGrant(error.detail) from None
        return tokens
    await state.rate_limits.hit(state.settings.refresh_rate, "refresh", client_address(request))
    if refreshed := await access.auth_service(session, state).refresh(form.refresh_token):
        return refreshed
    on_commit(session, state.revocations.expire)
    # Return the error instead of raising it: an exception would roll back the end of the session.
    return ProblemResponse(InvalidGrant(), request.url.path, state.error_body)


@public.post("/revoke", response_class=Response)
async def revoke_token(
    form: Annotated[RevocationForm, Form()], session: Transaction, state: CurrentState, request: Request
) -> None:
    """Log out. Ends the session of a refresh token or access token; an unknown token is ignored."""
    await state.rate_limits.hit(state.settings.refresh_rate, "refresh", client_address(request))
    await access.auth_service(session, state).revoke(form.token)
    on_commit(session, state.revocations.expire)
