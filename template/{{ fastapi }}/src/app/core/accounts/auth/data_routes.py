"""Routes of the caller's own data: export and erasure."""

from http import HTTPStatus

from fastapi import APIRouter, Depends

from app.core.accounts.auth.erasure import erase_account
from app.core.accounts.auth.identity import LoggedIn, require_log_in
from app.core.accounts.repository import UserRepository
from app.core.accounts.schemas import AccountErasure, PersonalData
from app.core.accounts.service import UserService
from app.core.database.sessions import Transaction
from app.core.http.dependencies import CurrentState
from app.core.http.openapi.document import problem_responses
from app.core.problems import FieldError, Forbidden, Unauthorized, Unprocessable

router = APIRouter(
    prefix="/users/me", tags=["users"], dependencies=[Depends(require_log_in)], responses=problem_responses(403)
)


@router.get("/export")
async def export_me(session: Transaction, user: LoggedIn) -> PersonalData:
    """Export your data. Includes the data of all slices."""
    # In a transaction, which listeners of `exporting` expect.
    found = await UserRepository(session).get_with_roles(user.id)
    if found is None or not found.is_active:
        raise Unauthorized
    return await UserService(session).export(found)


@router.post("/erase", status_code=HTTPStatus.NO_CONTENT, responses=problem_responses(409, 429))
async def erase_me(data: AccountErasure, user: LoggedIn, state: CurrentState) -> None:
    """Erase your account. Needs the password, or a log-in of the last 10 minutes at the identity provider."""
    await state.rate_limits.hit(state.settings.login_rate, "password", str(user.id))
    if state.settings.jwt_issuer is not None:
        user.require_recent_log_in()
    elif "password" not in data.model_fields_set:
        raise Unprocessable(FieldError(pointer="/body/password", message="Field required"))
    if not await erase_account(state.database, user, None if state.settings.jwt_issuer else data.password):
        raise Forbidden("The password is wrong.")
    state.revocations.expire()
