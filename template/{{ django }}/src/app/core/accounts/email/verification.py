"""Verification of e-mail addresses, with VERIFY_EMAIL."""

from datetime import timedelta

from app.core.accounts.auth.models import NEW_ADDRESS, REGISTRATION
from app.core.accounts.email.invitations import InvitationService
from app.core.accounts.email.tokens import EmailTokenRepository
from app.core.accounts.models import User
from app.core.accounts.repository import UserRepository
from app.core.accounts.schemas import RegistrationClosed, UserCreate, UserUpdate
from app.core.accounts.service import EmailTaken, UserService
from app.core.mail import send
from app.core.mail.texts import write_message, write_token_message

LIFETIME = timedelta(days=1)


class VerificationService:
    """Sends and accepts tokens, within the transaction of the request. With `closed`, completes no registration."""

    def __init__(self, *, closed: bool = False) -> None:
        self.closed = closed
        self.users = UserRepository()
        self.tokens = EmailTokenRepository()

    def register(self, data: UserCreate, hashed: str, invitation_id: int | None = None) -> None:
        """Store a registration, and send a message. Does the same for a taken address, against user enumeration."""
        fields = {"name": data.name, "password": hashed, "invitation_id": invitation_id}
        token = self.tokens.issue(REGISTRATION, data.email, LIFETIME, **fields)
        self._send(data.email, token)

    def request_change(self, user: User, email: str) -> None:
        """Send a message to the new address of a user. Cancels an earlier request, even for the current address."""
        self.tokens.delete_of_user(user.id, NEW_ADDRESS)
        if email == user.email:
            return
        token = self.tokens.issue(NEW_ADDRESS, email, LIFETIME, user_id=user.id)
        self._send(email, token, allowed=user.id)

    def resend(self, email: str) -> None:
        """Send another token for this address, if exactly one registration or change waits for it.

        With several, another person may have registered the address, with a password that the owner does not know.
        """
        match self.tokens.pending(email):
            case [stored] if stored.user_id or not self.closed:
                token = self.tokens.renew(stored, LIFETIME)
                self._send(stored.email, token, allowed=stored.user_id)

    def verify(self, token: str) -> bool:
        """Create the user, or change the address. Return False for an invalid token, or an address that is taken.

        The other registrations of the address end: their passwords may be another person's. Raise RegistrationClosed
        for a registration when `closed`.
        """
        try:
            found = self.tokens.find(REGISTRATION, token) or self.tokens.find(NEW_ADDRESS, token)
            if found is None:
                return False
            if found.user_id is None and self.closed:
                raise RegistrationClosed
            # Lock the user first, as other requests do: a deadlock otherwise.
            user = self.users.get_for_update(found.user_id) if found.user_id else None
            self.tokens.lock_registrations(found.email)
            used = self.tokens.use(found.purpose, token)
            if used is None or (used.user_id and (user is None or not user.is_active)):
                return False
            if user:
                UserService().change(user, UserUpdate(email=used.email))
            else:
                added = UserService().add(name=used.name, email=used.email, password=used.password)
                if used.invitation_id is not None:
                    InvitationService().accept(used.invitation_id, added)
            self.tokens.delete_registrations(used.email)
        except EmailTaken:
            return False
        return True

    def _send(self, email: str, token: str, *, allowed: int | None = None) -> None:
        # Without the name: a stranger may have chosen it as the text of an unwanted message.
        owner = self.users.get_by_email(email)
        if owner is None or owner.id == allowed:
            message = write_token_message("verify_email", "verify-email", token, email=email)
        else:
            message = write_message("already_registered", email=email)
        send(email, **message._asdict())
