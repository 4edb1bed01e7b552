"""Routes of `/auth/sessions`: the caller's log-ins."""

from functools import partial
from http import HTTPStatus

from django.db import transaction
from ninja import Query, Router, Status

from app.core.accounts.auth.audit import note
from app.core.accounts.auth.identity import expire_revocations, require_local_accounts, require_log_in
from app.core.accounts.auth.repository import SessionRepository
from app.core.accounts.auth.schemas import SessionQuery, SessionResponse
from app.core.accounts.repository import UserRepository
from app.core.http.dependencies import first
from app.core.http.openapi.document import problem_responses
from app.core.http.state import Request
from app.core.problems import NotFound, Unauthorized
from app.core.schemas import Page
from app.core.types import PathId

router = Router(tags=["auth"], auth=require_log_in)

ENDED = {HTTPStatus.NO_CONTENT: None}


@router.get("/auth/sessions", response=Page[SessionResponse], openapi_extra=problem_responses(403, 404))
@first(require_local_accounts)
def list_sessions(request: Request, query: Query[SessionQuery]) -> Page[SessionResponse]:
    """List your sessions. The most recently used is first."""
    rows, total = SessionRepository().find(request.auth.id, query)
    if (
        not total and request.auth.session_id is not None
    ):  # ended, or deleted with the user, after the check of the token
        raise Unauthorized
    sessions = [
        SessionResponse.model_validate(row).model_copy(update={"is_current": row.id == request.auth.session_id})
        for row in rows
    ]
    return Page[SessionResponse].of(sessions, total, query)


@router.delete("/auth/sessions", response=ENDED, openapi_extra=problem_responses(403, 404))
@first(require_local_accounts)
@transaction.atomic
def end_sessions(request: Request) -> Status[None]:
    """End all your sessions. All your access tokens end, too."""
    user = UserRepository().get_for_update(request.auth.id)
    if user is None or not user.is_active:
        raise Unauthorized
    user.end_sessions()
    expire_revocations(request)
    return Status(HTTPStatus.NO_CONTENT, None)


@router.delete("/auth/sessions/{session_id}", response=ENDED, openapi_extra=problem_responses(403, 404))
@first(require_local_accounts)
@transaction.atomic
def end_session(request: Request, session_id: PathId) -> Status[None]:
    """End one of your sessions. Its access tokens end, too."""
    if not SessionRepository().end(user_id=request.auth.id, session_id=session_id):
        raise NotFound("You have no such session.")
    transaction.on_commit(partial(note, "session ended", request.auth.id, session=session_id))
    expire_revocations(request)
    return Status(HTTPStatus.NO_CONTENT, None)
