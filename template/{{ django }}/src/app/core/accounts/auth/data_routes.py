"""Routes of the caller's own data: export and erasure."""

from http import HTTPStatus

from django.db import transaction
from ninja import Router, Status

from app.core.accounts.auth.erasure import erase_account
from app.core.accounts.auth.identity import require_log_in
from app.core.accounts.repository import UserRepository
from app.core.accounts.schemas import AccountErasure, PersonalData
from app.core.accounts.service import UserService
from app.core.http.openapi.document import problem_responses
from app.core.http.state import Request
from app.core.problems import FieldError, Forbidden, Unauthorized, Unprocessable

router = Router(tags=["users"], auth=require_log_in)


@router.get("/users/me/export", response=PersonalData, openapi_extra=problem_responses(403))
@transaction.atomic
def export_me(request: Request) -> PersonalData:
    """Export your data. Includes the data of all slices."""
    user = UserRepository().get(request.auth.id)
    if user is None or not user.is_active:
        raise Unauthorized
    return UserService().export(user)


@router.post("/users/me/erase", response={HTTPStatus.NO_CONTENT: None}, openapi_extra=problem_responses(403, 409, 429))
@transaction.non_atomic_requests
def erase_me(request: Request, data: AccountErasure) -> Status[None]:
    """Erase your account. Needs the password, or a log-in of the last 10 minutes at the identity provider."""
    state = request.state
    state.rate_limits.hit(state.settings.login_rate, "password", str(request.auth.id))
    if state.settings.jwt_issuer is not None:
        request.auth.require_recent_log_in()
    elif "password" not in data.model_fields_set:
        raise Unprocessable(FieldError(pointer="/body/password", message="Field required"))
    if not erase_account(request.auth, None if state.settings.jwt_issuer else data.password):
        raise Forbidden("The password is wrong.")
    state.revocations.expire()
    return Status(HTTPStatus.NO_CONTENT, None)
