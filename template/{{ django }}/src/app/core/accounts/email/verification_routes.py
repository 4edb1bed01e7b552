"""Routes of `/auth/verify-email`."""

from http import HTTPStatus

from django.db import transaction
from ninja import Router, Status

from app.core.accounts.auth.identity import require_local_accounts
from app.core.accounts.email.timing import SameTime
from app.core.accounts.email.verification import VerificationService
from app.core.accounts.schemas import EmailRequest, EmailVerification, InvalidToken
from app.core.database.transactions import give_back
from app.core.http.dependencies import first
from app.core.http.limits.rates import client_address
from app.core.http.openapi.document import problem_responses
from app.core.http.state import Request

public = Router(tags=["auth"])

ERRORS = problem_responses(404, 429)


@public.post(
    "/auth/verify-email", response={HTTPStatus.NO_CONTENT: None}, openapi_extra=problem_responses(403, 404, 429)
)
@first(require_local_accounts)
@transaction.atomic
def verify_email(request: Request, data: EmailVerification) -> Status[None]:
    """Verify an e-mail address. Takes the e-mailed token; completes a registration or a change of address."""
    request.state.rate_limits.hit(request.state.settings.login_address_rate, "log-ins", client_address(request))
    if not VerificationService(closed=_is_closed(request)).verify(data.token):
        raise InvalidToken
    return Status(HTTPStatus.NO_CONTENT, None)


@public.post("/auth/verify-email/resend", response={HTTPStatus.ACCEPTED: None}, openapi_extra=ERRORS)
@first(require_local_accounts)
@transaction.non_atomic_requests
def resend_verification(request: Request, data: EmailRequest) -> Status[None]:
    """Send the message again. Sends a token if a registration or a change waits for this address."""
    request.state.rate_limits.hit_email("resend", client_address(request), data.email)
    with SameTime():
        with transaction.atomic():
            VerificationService(closed=_is_closed(request)).resend(data.email)
        give_back()
    return Status(HTTPStatus.ACCEPTED, None)


def _is_closed(request: Request) -> bool:
    return request.state.settings.registration == "closed"
