"""Invitations: tokens that allow one registration."""

from django.db.models.functions import Now

from app.core.accounts.auth.models import Invitation
from app.core.accounts.email.schemas import InvitationCreate, InvitationQuery, NotInvited
from app.core.accounts.models import User
from app.core.accounts.repository import UserRepository
from app.core.accounts.schemas import UserCreate
from app.core.database.repository import BaseRepository
from app.core.mail import send
from app.core.mail.texts import write_token_message
from app.core.security.tokens import digest, new_token


class InvitationRepository(BaseRepository[Invitation]):
    model = Invitation

    def find(self, query: InvitationQuery) -> tuple[list[Invitation], int]:
        """Return one page of the invitations that have not expired, and their number."""
        return self.page(query, self.rows.filter(expires_at__gt=Now()))

    def find_valid(self, digest: str) -> Invitation | None:
        """Return the invitation with this token, or None."""
        return self.rows.filter(digest=digest, expires_at__gt=Now()).first()

    def use(self, invitation_id: int) -> Invitation | None:
        """Delete an invitation, and return it. Only one of two concurrent requests succeeds."""
        found = self.rows.select_for_update().filter(id=invitation_id).first()
        if found:
            self.delete(found.pk)
        return found

    def delete_expired(self) -> None:
        """Delete expired invitations."""
        self.rows.filter(expires_at__lt=Now()).delete()


class InvitationService:
    """Creates and accepts invitations, within the transaction of the request."""

    def __init__(self) -> None:
        self.invitations = InvitationRepository()

    def create(self, data: InvitationCreate) -> tuple[Invitation, str | None]:
        """Store an invitation. Also return its token, unless the token is sent by e-mail."""
        self.invitations.delete_expired()
        token = new_token()
        invitation = self.invitations.create({**data.model_dump(), "digest": digest(token)})
        if data.email is None:
            return invitation, token
        message = write_token_message("invitation", "invitation", token)
        send(data.email, **message._asdict())
        return invitation, None

    def check(self, data: UserCreate, *, required: bool) -> int | None:
        """Return the id of the invitation. Raise NotInvited if the invitation is invalid, or required and missing."""
        if "invitation" not in data.model_fields_set:
            if required:
                raise NotInvited
            return None
        found = self.invitations.find_valid(digest(data.invitation))
        if found is None or (found.email and found.email.lower() != data.email.lower()):
            raise NotInvited
        return found.pk

    def accept(self, invitation_id: int, user: User) -> None:
        """Give the roles of an invitation to a new user. Raise NotInvited if another registration used it."""
        used = self.invitations.use(invitation_id)
        if used is None:
            raise NotInvited
        UserRepository().add_groups(user, used.roles)
