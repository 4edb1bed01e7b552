"""Routes of `/invitations`."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from app.core.accounts.auth.identity import require_local_accounts, require_scope
from app.core.accounts.email.invitations import InvitationRepository, InvitationService
from app.core.accounts.email.schemas import InvitationCreate, InvitationCreated, InvitationDetails, InvitationQuery
from app.core.database.sessions import ReadOnly, Transaction
from app.core.http.openapi.document import problem_responses
from app.core.problems import NotFound
from app.core.schemas import Page
from app.core.security.bearer import ADMIN
from app.core.types import PathId

router = APIRouter(
    prefix="/invitations",
    tags=["invitations"],
    dependencies=[Depends(require_local_accounts), Depends(require_scope(ADMIN))],
    responses=problem_responses(403, 404),
)


@router.post("", status_code=HTTPStatus.CREATED)
async def create_invitation(data: InvitationCreate, session: Transaction) -> InvitationCreated:
    """Invite a user. Sends a message to the address, or returns the token once. Admins only."""
    invitation, token = await InvitationService(session).create(data)
    return InvitationCreated(**InvitationDetails.model_validate(invitation).model_dump(), token=token)


@router.get("")
async def list_invitations(session: ReadOnly, query: Annotated[InvitationQuery, Query()]) -> Page[InvitationDetails]:
    """List open invitations. The newest is first. Admins only."""
    invitations, total = await InvitationRepository(session).find(query)
    return Page[InvitationDetails].of(invitations, total, query)


@router.delete("/{invitation_id}", status_code=HTTPStatus.NO_CONTENT)
async def delete_invitation(invitation_id: PathId, session: Transaction) -> None:
    """Withdraw an invitation. Admins only."""
    if not await InvitationRepository(session).delete(invitation_id):
        raise NotFound("There is no such invitation.")
