"""The account service: creating, changing, exporting and erasing users."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy.exc import IntegrityError

from app.core.accounts.auth.audit import note
from app.core.accounts.auth.repository import SessionRepository
from app.core.accounts.auth.roles import scopes_of
from app.core.accounts.email.tokens import EmailTokenRepository
from app.core.accounts.events import deactivated, erased, exporting, registered
from app.core.accounts.keys.repository import ApiKeyRepository
from app.core.accounts.keys.schemas import ApiKeyDetails
from app.core.accounts.models import User
from app.core.accounts.repository import UserRepository
from app.core.accounts.schemas import (
    AccountExport,
    PersonalData,
    ProvidedUser,
    SessionDetails,
    UserCreate,
    UserRightsUpdate,
    UserUpdate,
)
from app.core.database.on_commit import on_commit
from app.core.database.sessions import WriteSession
from app.core.idempotency.responses import delete_of_callers
from app.core.mail import send
from app.core.mail.texts import write_message
from app.core.problems import Conflict
from app.core.security.passwords import hash_password, in_turn
from app.core.security.tokens import later_than
from app.core.security.users import CurrentUser


class EmailTaken(Conflict):
    type = "urn:problem-type:email-taken"
    detail = "This e-mail address is already registered."


class LastAdmin(Conflict):
    type = "urn:problem-type:last-admin"
    detail = "This user is the last active admin. Make another user an admin first."


async def add_user(session: WriteSession, **fields: Any) -> User:
    """Store a user, and send `registered`. All code that creates users calls this function.

    Raise EmailTaken when the address is in use (ignoring case), IntegrityError when another constraint fails.
    """
    try:
        # Use a savepoint, so that the session stays usable after the error.
        async with session.begin_nested():
            user = await UserRepository(session).create(fields)
            await registered.send(session, user)
    except IntegrityError as error:
        if "uq_users_email_lower" in str(error.orig):
            raise EmailTaken from None
        raise
    return user


class UserService:
    def __init__(self, session: WriteSession) -> None:
        self.session = session
        self.users = UserRepository(session)
        self.sessions = SessionRepository(session)
        self.keys = ApiKeyRepository(session)

    async def create(self, data: UserCreate, *, admin: bool = False) -> User:
        """Register a user. Raise EmailTaken when the address is in use (ignoring case)."""
        hashed = await in_turn(hash_password, data.password.get_secret_value())
        fields = data.model_dump(include={"name", "email"})
        return await add_user(self.session, **fields, password=hashed, is_superuser=admin)

    async def enter(self, data: ProvidedUser) -> User:
        """Return the user of an identity provider. Creates an unknown user.

        If another account has the address, the new user gets no address: an account is never linked by address.
        """
        fields = data.model_dump()
        try:
            return await add_user(self.session, **fields)
        except (EmailTaken, IntegrityError) as error:
            # A concurrent first request may have created the same user.
            if found := await self.users.get_by_subject(data.issuer, data.subject):
                return found
            if not isinstance(error, EmailTaken):
                raise  # the error of a listener
        return await add_user(self.session, **fields | {"email": None})

    async def change(self, user: User, data: UserUpdate) -> None:
        """Change name and address. Raise EmailTaken when the address is in use (ignoring case). The row must be locked.

        The former address gets a message about a new one.
        """
        former = user.email
        try:
            async with self.session.begin_nested():
                await self.users.update(user, data.model_dump(exclude_unset=True))
        except IntegrityError as error:
            if "uq_users_email_lower" in str(error.orig):
                raise EmailTaken from None
            raise
        if former and user.email and user.email != former:
            message = write_message("email_changed", name=user.name or former, email=user.email)
            await send(self.session, former, **message._asdict(), name=user.name)

    async def change_rights(self, user: User, data: UserRightsUpdate) -> None:
        """Change state, rights and roles. Raise LastAdmin if no active admin would be left. The row must be locked."""
        changes = data.model_dump(exclude_unset=True)
        former, roles = set(user.role_names), set(changes.get("roles", user.role_names))
        await self.change_roles(user, admin=changes.get("is_admin"), add=roles - former, remove=former - roles)
        if "is_active" in changes:
            await (self.activate(user) if changes["is_active"] else self.deactivate(user))

    async def change_roles(
        self, user: User, *, admin: bool | None, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> None:
        """Make the user an admin, or no longer one, unless `admin` is None; add and remove roles.

        Access tokens end only if the user loses a right. Raise LastAdmin if no active admin would be left. The row must
        be locked.
        """
        former = set(user.role_names)
        added, removed = set(add) - former, set(remove) & former
        is_admin_new = admin is not None and admin != user.is_superuser
        demoted = admin is False and user.is_superuser
        if demoted:
            await self.require_other_admin(user)
        if admin is not None:
            await self.users.update(user, {"is_superuser": admin})
        await self.users.remove_roles(user.id, removed)
        await self.users.add_roles(user.id, added)
        if demoted or removed:
            await self.revoke(user)
        elif added:
            await self.users.update(user, {"updated_at": datetime.now(UTC)})
        if added or removed or is_admin_new:
            self.note("roles changed", user, added=sorted(added), removed=sorted(removed), admin=user.is_superuser)

    async def require_other_admin(self, user: User) -> None:
        """Raise LastAdmin if the user is the only active admin."""
        if user.is_superuser and user.is_active:
            await self.users.lock_admins()
            if not await self.users.has_other_admin(user.id):
                raise LastAdmin

    async def set_password(self, user: User, hashed: str, *, kept_session: int | None = None) -> None:
        """Set a password hash made by `hash_password`, end all other sessions, and send a message about it."""
        await self.users.update(user, {"password": hashed})
        await self.end_sessions(user, kept_session=kept_session)
        self.note("password changed", user)
        if user.email:
            message = write_message("password_changed", name=user.name or user.email)
            await send(self.session, user.email, **message._asdict(), name=user.name)

    async def end_sessions(self, user: User, *, kept_session: int | None = None) -> None:
        """End all other sessions, and revoke all access tokens. E-mailed tokens end, too."""
        await EmailTokenRepository(self.session).delete_of_user(user.id)
        await self.sessions.end(user_id=user.id, kept=kept_session)
        await self.revoke(user)  # last: a concurrent refresh may issue an access token until its session has ended
        self.note("sessions ended", user, kept=kept_session)

    def note(self, event: str, user: User, **details: Any) -> None:
        """Log a security event after the commit."""
        on_commit(self.session, partial(note, event, user.id, **details))

    async def revoke(self, user: User) -> None:
        """Revoke the access tokens that were issued until now."""
        await self.users.lock(user.id)  # a concurrent refresh, which also locks the row, may still issue a token
        await self.users.update(user, {"revoked_at": later_than(user.revoked_at)})

    async def deactivate(self, user: User) -> None:
        """Forbid log-ins, and end all sessions and keys. Raise LastAdmin for the only active admin. Lock first."""
        if user.is_active:
            await self.require_other_admin(user)
            await self.users.update(user, {"is_active": False})
            await self.end_sessions(user)
            await self.keys.delete_of_user(user.id)
            await deactivated.send(self.session, user)

    async def activate(self, user: User) -> None:
        """Allow the user to log in again."""
        await self.users.update(user, {"is_active": True})

    async def export(self, user: User) -> PersonalData:
        """Return all data of a user who was loaded with the roles."""
        sessions = [SessionDetails.model_validate(session) for session in await self.sessions.all_of(user.id)]
        keys = [ApiKeyDetails.model_validate(key) for key in await self.keys.all_of(user.id)]
        account = AccountExport.model_validate(user).model_copy(update={"sessions": sessions, "api_keys": keys})
        return PersonalData.of(account, await exporting.send(self.session, user))

    async def erase(self, user: User) -> None:
        """Delete the personal data of a user. Lock the row first. The row stays, inactive, for foreign keys.

        Raise LastAdmin for the only active admin.
        """
        await self.require_other_admin(user)
        await erased.send(self.session, user)
        await self.sessions.delete_of_user(user.id)
        await self.keys.delete_of_user(user.id)
        await EmailTokenRepository(self.session).delete_of_user(user.id)
        await delete_of_callers(self.session, {str(user.id), user.subject or str(user.id)})
        await self.revoke(user)
        await self.users.remove_roles(user.id)
        nothing = dict.fromkeys(("email", "password", "issuer", "subject", "last_login"))
        await self.users.update(user, {"name": "", "is_active": False, "is_superuser": False, **nothing})


def logged_in(user: User) -> CurrentUser:
    """Return the user with the scopes of the roles, which must be loaded."""
    return CurrentUser(user.id, scopes_of(user.role_names, admin=user.is_superuser))
