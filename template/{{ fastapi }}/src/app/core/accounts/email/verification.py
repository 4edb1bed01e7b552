"""Verification of e-mail addresses, with VERIFY_EMAIL."""

from datetime import timedelta

from app.core.accounts.email.invitations import InvitationService
from app.core.accounts.email.tokens import NEW_ADDRESS, REGISTRATION, EmailTokenRepository
from app.core.accounts.models import User
from app.core.accounts.repository import UserRepository
from app.core.accounts.schemas import RegistrationClosed, UserCreate, UserUpdate
from app.core.accounts.service import EmailTaken, UserService, add_user
from app.core.database.sessions import WriteSession
from app.core.mail import send
from app.core.mail.texts import write_message, write_token_message
from app.core.security.passwords import hash_password, in_turn

LIFETIME = timedelta(days=1)


class VerificationService:
    """Sends and accepts tokens, within the transaction of `session`. With `closed`, completes no registration."""

    def __init__(self, session: WriteSession, *, closed: bool = False) -> None:
        self.session = session
        self.closed = closed
        self.users = UserRepository(session)
        self.tokens = EmailTokenRepository(session)

    async def register(self, data: UserCreate, invitation_id: int | None = None) -> None:
        """Store a registration, and send a message. Does the same for a taken address, against user enumeration."""
        hashed = await in_turn(hash_password, data.password.get_secret_value())
        fields = {"name": data.name, "password": hashed, "invitation_id": invitation_id}
        token = await self.tokens.issue(REGISTRATION, data.email, LIFETIME, **fields)
        await self._send(data.email, token)

    async def request_change(self, user: User, email: str) -> None:
        """Send a message to the new address of a user. Cancels an earlier request, even for the current address."""
        await self.tokens.delete_of_user(user.id, NEW_ADDRESS)
        if email == user.email:
            return
        token = await self.tokens.issue(NEW_ADDRESS, email, LIFETIME, user_id=user.id)
        await self._send(email, token, allowed=user.id)

    async def resend(self, email: str) -> None:
        """Send another token for this address, if exactly one registration or change waits for it.

        With several, another person may have registered the address, with a password that the owner does not know.
        """
        match await self.tokens.pending(email):
            case [stored] if stored.user_id or not self.closed:
                token = await self.tokens.renew(stored, LIFETIME)
                await self._send(stored.email, token, allowed=stored.user_id)

    async def verify(self, token: str) -> bool:
        """Create the user, or change the address. Return False for an invalid token, or an address that is taken.

        The other registrations of the address end: their passwords may be another person's. Raise RegistrationClosed
        for a registration when `closed`.
        """
        try:
            found = await self.tokens.find(REGISTRATION, token) or await self.tokens.find(NEW_ADDRESS, token)
            if found is None:
                return False
            if found.user_id is None and self.closed:
                raise RegistrationClosed
            # Lock the user first, as other requests do: a deadlock otherwise.
            user = await self.users.lock(found.user_id) if found.user_id else None
            await self.tokens.lock_registrations(found.email)
            used = await self.tokens.use(found.purpose, token)
            if used is None or (used.user_id and (user is None or not user.is_active)):
                return False
            if user:
                await UserService(self.session).change(user, UserUpdate(email=used.email))
            else:
                added = await add_user(self.session, name=used.name, email=used.email, password=used.password)
                if used.invitation_id is not None:
                    await InvitationService(self.session).accept(used.invitation_id, added)
            await self.tokens.delete_registrations(used.email)
        except EmailTaken:
            return False
        return True

    async def _send(self, email: str, token: str, *, allowed: int | None = None) -> None:
        # Without the name: a stranger may have chosen it as the text of an unwanted message.
        owner = await self.users.id_of(email)
        if owner is None or owner == allowed:
            message = write_token_message("verify_email", "verify-email", token, email=email)
        else:
            message = write_message("already_registered", email=email)
        await send(self.session, email, **message._asdict())
