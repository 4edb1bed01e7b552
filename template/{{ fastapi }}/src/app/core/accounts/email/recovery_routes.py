"""Routes of `/auth/password-reset`."""

from http import HTTPStatus

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from app.core.accounts.auth.identity import require_local_accounts
from app.core.accounts.email.recovery import reset_password, send_reset
from app.core.accounts.email.timing import SameTime
from app.core.accounts.schemas import EmailRequest, InvalidToken, PasswordReset
from app.core.http.dependencies import CurrentState
from app.core.http.limits.rates import client_address
from app.core.http.openapi.document import problem_responses

public = APIRouter(
    prefix="/auth/password-reset",
    tags=["auth"],
    dependencies=[Depends(require_local_accounts)],
    responses=problem_responses(404, 429),
)


@public.post("", status_code=HTTPStatus.ACCEPTED, response_class=Response)
async def request_password_reset(data: EmailRequest, state: CurrentState, request: Request) -> None:
    """Ask for a password reset. Sends a token, valid for 30 minutes, if the address belongs to a user."""
    await state.rate_limits.hit_email("reset", client_address(request), data.email)
    async with SameTime(), state.database.sessions.begin() as session:
        await send_reset(session, data.email)


@public.post("/confirm", status_code=HTTPStatus.NO_CONTENT)
async def confirm_password_reset(data: PasswordReset, state: CurrentState, request: Request) -> None:
    """Reset the password. Takes the e-mailed token. All sessions end."""
    await state.rate_limits.hit(state.settings.login_address_rate, "log-ins", client_address(request))
    if not await reset_password(state.database, data):
        raise InvalidToken
    state.revocations.expire()
