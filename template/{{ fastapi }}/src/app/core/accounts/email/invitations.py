"""Invitations: tokens that allow one registration."""

from sqlalchemy import delete, func, select

from app.core.accounts.auth.models import Invitation
from app.core.accounts.email.schemas import InvitationCreate, InvitationQuery, NotInvited
from app.core.accounts.models import User
from app.core.accounts.repository import UserRepository
from app.core.accounts.schemas import UserCreate
from app.core.database.repository import BaseRepository
from app.core.database.sessions import ReadSession, WriteSession
from app.core.mail import send
from app.core.mail.texts import write_token_message
from app.core.security.tokens import digest, new_token


class InvitationRepository[Session: ReadSession](BaseRepository[Invitation, Session]):
    model = Invitation

    async def find(self, query: InvitationQuery) -> tuple[list[Invitation], int]:
        """Return one page of the invitations that have not expired, and their number."""
        return await self.page(query, select(Invitation).where(Invitation.expires_at > func.now()))

    async def find_valid(self, digest: str) -> Invitation | None:
        """Return the invitation with this token, or None."""
        found = select(Invitation).where(Invitation.digest == digest, Invitation.expires_at > func.now())
        return await self.session.scalar(found)

    async def use(self: "InvitationRepository[WriteSession]", invitation_id: int) -> Invitation | None:
        """Delete an invitation, and return it. Only one of two concurrent requests succeeds."""
        return await self.session.scalar(delete(Invitation).where(Invitation.id == invitation_id).returning(Invitation))

    async def delete_expired(self: "InvitationRepository[WriteSession]") -> None:
        """Delete expired invitations."""
        await self.session.execute(delete(Invitation).where(Invitation.expires_at < func.now()))


class InvitationService:
    """Creates and accepts invitations, within the transaction of `session`."""

    def __init__(self, session: WriteSession) -> None:
        self.session = session
        self.invitations = InvitationRepository(session)

    async def create(self, data: InvitationCreate) -> tuple[Invitation, str | None]:
        """Store an invitation. Also return its token, unless the token is sent by e-mail."""
        await self.invitations.delete_expired()
        token = new_token()
        invitation = await self.invitations.create({**data.model_dump(), "digest": digest(token)})
        if data.email is None:
            return invitation, token
        message = write_token_message("invitation", "invitation", token)
        await send(self.session, data.email, **message._asdict())
        return invitation, None

    async def check(self, data: UserCreate, *, required: bool) -> int | None:
        """Return the id of the invitation. Raise NotInvited if the invitation is invalid, or required and missing."""
        if "invitation" not in data.model_fields_set:
            if required:
                raise NotInvited
            return None
        found = await self.invitations.find_valid(digest(data.invitation))
        if found is None or (found.email and found.email.lower() != data.email.lower()):
            raise NotInvited
        return found.id

    async def accept(self, invitation_id: int, user: User) -> None:
        """Give the roles of an invitation to a new user. Raise NotInvited if another registration used it."""
        used = await self.invitations.use(invitation_id)
        if used is None:
            raise NotInvited
        await UserRepository(self.session).add_roles(user.id, used.roles)
