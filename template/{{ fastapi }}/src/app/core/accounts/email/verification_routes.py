"""Routes of `/auth/verify-email`."""

from http import HTTPStatus

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from app.core.accounts.auth.identity import require_local_accounts
from app.core.accounts.email.timing import SameTime
from app.core.accounts.email.verification import VerificationService
from app.core.accounts.schemas import EmailRequest, EmailVerification, InvalidToken
from app.core.database.sessions import Transaction
from app.core.http.dependencies import CurrentState
from app.core.http.limits.rates import client_address
from app.core.http.openapi.document import problem_responses
from app.core.http.state import State

public = APIRouter(
    prefix="/auth/verify-email",
    tags=["auth"],
    dependencies=[Depends(require_local_accounts)],
    responses=problem_responses(404, 429),
)


@public.post("", status_code=HTTPStatus.NO_CONTENT, responses=problem_responses(403))
async def verify_email(data: EmailVerification, session: Transaction, state: CurrentState, request: Request) -> None:
    """Verify an e-mail address. Takes the e-mailed token; completes a registration or a change of address."""
    await state.rate_limits.hit(state.settings.login_address_rate, "log-ins", client_address(request))
    if not await VerificationService(session, closed=_is_closed(state)).verify(data.token):
        raise InvalidToken


@public.post("/resend", status_code=HTTPStatus.ACCEPTED, response_class=Response)
async def resend_verification(data: EmailRequest, state: CurrentState, request: Request) -> None:
    """Send the message again. Sends a token if a registration or a change waits for this address."""
    await state.rate_limits.hit_email("resend", client_address(request), data.email)
    async with SameTime(), state.database.sessions.begin() as session:
        await VerificationService(session, closed=_is_closed(state)).resend(data.email)


def _is_closed(state: State) -> bool:
    return state.settings.registration == "closed"
