"""Routes of `/auth/password-reset`."""

from http import HTTPStatus

from django.db import transaction
from ninja import Router, Status

from app.core.accounts.auth.identity import require_local_accounts
from app.core.accounts.email.recovery import reset_password, send_reset
from app.core.accounts.email.timing import SameTime
from app.core.accounts.schemas import EmailRequest, InvalidToken, PasswordReset
from app.core.database.transactions import give_back
from app.core.http.dependencies import first
from app.core.http.limits.rates import client_address
from app.core.http.openapi.document import problem_responses
from app.core.http.state import Request

public = Router(tags=["auth"])

ERRORS = problem_responses(404, 429)


@public.post("/auth/password-reset", response={HTTPStatus.ACCEPTED: None}, openapi_extra=ERRORS)
@first(require_local_accounts)
@transaction.non_atomic_requests
def request_password_reset(request: Request, data: EmailRequest) -> Status[None]:
    """Ask for a password reset. Sends a token, valid for 30 minutes, if the address belongs to a user."""
    request.state.rate_limits.hit_email("reset", client_address(request), data.email)
    with SameTime():
        with transaction.atomic():
            send_reset(data.email)
        give_back()
    return Status(HTTPStatus.ACCEPTED, None)


@public.post("/auth/password-reset/confirm", response={HTTPStatus.NO_CONTENT: None}, openapi_extra=ERRORS)
@first(require_local_accounts)
@transaction.non_atomic_requests
def confirm_password_reset(request: Request, data: PasswordReset) -> Status[None]:
    """Reset the password. Takes the e-mailed token. All sessions end."""
    request.state.rate_limits.hit(request.state.settings.login_address_rate, "log-ins", client_address(request))
    if not reset_password(data):
        raise InvalidToken
    request.state.revocations.expire()
    return Status(HTTPStatus.NO_CONTENT, None)
