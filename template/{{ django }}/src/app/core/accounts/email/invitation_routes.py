"""Routes of `/invitations`."""

from http import HTTPStatus

from django.db import transaction
from ninja import Query, Router, Status

from app.core.accounts.auth.identity import require_local_accounts, require_scope
from app.core.accounts.email.invitations import InvitationRepository, InvitationService
from app.core.accounts.email.schemas import InvitationCreate, InvitationCreated, InvitationDetails, InvitationQuery
from app.core.http.dependencies import first
from app.core.http.openapi.document import problem_responses
from app.core.http.state import Request
from app.core.problems import NotFound
from app.core.schemas import Page
from app.core.security.bearer import ADMIN
from app.core.types import PathId

router = Router(tags=["invitations"], auth=require_scope(ADMIN))

ERRORS = problem_responses(403, 404)


@router.post("/invitations", response={HTTPStatus.CREATED: InvitationCreated}, openapi_extra=ERRORS)
@first(require_local_accounts)
@transaction.atomic
def create_invitation(request: Request, data: InvitationCreate) -> Status[InvitationCreated]:
    """Invite a user. Sends a message to the address, or returns the token once. Admins only."""
    invitation, token = InvitationService().create(data)
    details = InvitationDetails.model_validate(invitation).model_dump()
    return Status(HTTPStatus.CREATED, InvitationCreated(**details, token=token))


@router.get("/invitations", response=Page[InvitationDetails], openapi_extra=ERRORS)
@first(require_local_accounts)
def list_invitations(request: Request, query: Query[InvitationQuery]) -> Page[InvitationDetails]:
    """List open invitations. The newest is first. Admins only."""
    invitations, total = InvitationRepository().find(query)
    return Page[InvitationDetails].of(invitations, total, query)


@router.delete("/invitations/{invitation_id}", response={HTTPStatus.NO_CONTENT: None}, openapi_extra=ERRORS)
@first(require_local_accounts)
@transaction.atomic
def delete_invitation(request: Request, invitation_id: PathId) -> Status[None]:
    """Withdraw an invitation. Admins only."""
    if not InvitationRepository().delete(invitation_id):
        raise NotFound("There is no such invitation.")
    return Status(HTTPStatus.NO_CONTENT, None)
