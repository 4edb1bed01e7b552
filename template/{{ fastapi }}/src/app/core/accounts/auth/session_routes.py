"""Routes of `/auth/sessions`: the caller's log-ins."""

from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from app.core.accounts.auth.audit import note
from app.core.accounts.auth.identity import LoggedIn, require_local_accounts, require_log_in
from app.core.accounts.auth.repository import SessionRepository
from app.core.accounts.auth.schemas import SessionQuery, SessionResponse
from app.core.accounts.service import UserService
from app.core.database.on_commit import on_commit
from app.core.database.sessions import ReadOnly, Transaction
from app.core.http.dependencies import CurrentState
from app.core.http.openapi.document import problem_responses
from app.core.problems import NotFound, Unauthorized
from app.core.schemas import Page
from app.core.types import PathId

router = APIRouter(
    prefix="/auth/sessions",
    tags=["auth"],
    dependencies=[Depends(require_local_accounts), Depends(require_log_in)],
    responses=problem_responses(403, 404),
)


@router.get("")
async def list_sessions(
    session: ReadOnly, user: LoggedIn, query: Annotated[SessionQuery, Query()]
) -> Page[SessionResponse]:
    """List your sessions. The most recently used is first."""
    rows, total = await SessionRepository(session).find(user.id, query)
    if not total and user.session_id is not None:  # ended, or deleted with the user, after the check of the token
        raise Unauthorized
    sessions = [
        SessionResponse.model_validate(row).model_copy(update={"is_current": row.id == user.session_id}) for row in rows
    ]
    return Page[SessionResponse].of(sessions, total, query)


@router.delete("", status_code=HTTPStatus.NO_CONTENT)
async def end_sessions(session: Transaction, state: CurrentState, user: LoggedIn) -> None:
    """End all your sessions. All your access tokens end, too."""
    service = UserService(session)
    found = await service.users.lock(user.id)
    if found is None or not found.is_active:
        raise Unauthorized
    await service.end_sessions(found)
    on_commit(session, state.revocations.expire)


@router.delete("/{session_id}", status_code=HTTPStatus.NO_CONTENT)
async def end_session(session_id: PathId, session: Transaction, state: CurrentState, user: LoggedIn) -> None:
    """End one of your sessions. Its access tokens end, too."""
    if not await SessionRepository(session).end(user_id=user.id, session_id=session_id):
        raise NotFound("You have no such session.")
    on_commit(session, partial(note, "session ended", user.id, session=session_id))
    on_commit(session, state.revocations.expire)
