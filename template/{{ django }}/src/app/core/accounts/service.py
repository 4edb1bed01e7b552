"""The account service: creating, changing, exporting and erasing users."""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from pydantic import Secret

from app.core.accounts.auth.repository import SessionRepository
from app.core.accounts.auth.roles import scopes_of
from app.core.accounts.email.tokens import EmailTokenRepository
from app.core.accounts.events import deactivated, erased, exporting
from app.core.accounts.keys.repository import ApiKeyRepository
from app.core.accounts.keys.schemas import ApiKeyDetails
from app.core.accounts.models import EMAIL_TAKEN, User
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
from app.core.idempotency.responses import delete_of_callers
from app.core.mail import send
from app.core.mail.texts import write_message
from app.core.problems import Conflict
from app.core.security.users import CurrentUser


class EmailTaken(Conflict):
    type = "urn:problem-type:email-taken"
    detail = EMAIL_TAKEN


class UserService:
    def __init__(self) -> None:
        self.users = UserRepository()

    def create(self, data: UserCreate, hashed: str, *, admin: bool = False) -> User:
        """Register a user with this password hash. Raise EmailTaken when the address is in use (ignoring case)."""
        fields = data.model_dump(include={"name", "email"})
        return self.add(**fields, password=hashed, is_superuser=admin, is_staff=admin)

    def add(self, *, email: str, **fields: Any) -> User:
        """Store a user. Raise EmailTaken when the address is in use (ignoring case)."""
        try:
            # Use a savepoint, so that the transaction stays usable when the address is taken.
            with transaction.atomic():
                return self.users.create({"email": email, **fields})
        except IntegrityError:
            if self.users.get_by_email(email):
                raise EmailTaken from None
            raise  # the error of a listener

    def enter(self, data: ProvidedUser) -> User:
        """Return the user of an identity provider. Creates an unknown user.

        If another account has the address, the new user gets no address: an account is never linked by address.
        """
        fields = data.model_dump() | {"password": make_password(None)}
        try:
            with transaction.atomic():
                return self.users.create(fields)
        except IntegrityError:
            # A concurrent first request may have created the same user.
            if found := self.users.get_by_subject(data.issuer, data.subject):
                return found
            if not (data.email and self.users.get_by_email(data.email)):
                raise  # the error of a listener
        return self.users.create(fields | {"email": None})

    def change(self, user: User, data: UserUpdate) -> None:
        """Change name and address. Raise EmailTaken when the address is in use (ignoring case).

        The former address gets a message about a new one.
        """
        former = user.email
        try:
            with transaction.atomic():
                changes = data.model_dump(exclude_unset=True)
                changes = {name: value for name, value in changes.items() if getattr(user, name) != value}
                if changes:
                    self.users.update(user, changes)
        except IntegrityError as error:
            if "uq_users_email_lower" in str(error):
                raise EmailTaken from None
            raise
        if former and user.email and user.email != former:
            message = write_message("email_changed", name=user.name or former, email=user.email)
            send(former, **message._asdict(), name=user.name)

    def change_rights(self, user: User, data: UserRightsUpdate) -> None:
        """Change state, rights and roles. Raise LastAdmin if no active admin would be left. The row must be locked."""
        changes = data.model_dump(exclude_unset=True)
        former, roles = set(user.role_names), set(changes.get("roles", user.role_names))
        self.change_roles(user, admin=changes.get("is_admin"), add=roles - former, remove=former - roles)
        if "is_active" in changes:
            if changes["is_active"]:
                self.activate(user)
            else:
                self.deactivate(user)

    def change_roles(
        self, user: User, *, admin: bool | None = None, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> None:
        """Make the user an admin, or no longer one, unless `admin` is None; add and remove roles.

        Access tokens end only if the user loses a right. Raise LastAdmin if no active admin would be left. The row must
        be locked.
        """
        former = set(user.role_names)
        added, removed = set(add) - former, set(remove) & former
        if admin is not None and admin != user.is_superuser:
            self.users.update(user, {"is_superuser": admin, "is_staff": admin})
        self.users.add_groups(user, added)
        self.users.remove_groups(user, removed)
        if added:
            self.users.update(user, {})  # only the time of the change

    def set_password(self, user: User, password: Secret[str]) -> None:
        """Set a new password and end all sessions."""
        user.set_password(password.get_secret_value())
        self.users.update(user, {"password": user.password})

    def deactivate(self, user: User) -> None:
        """Forbid log-ins, and end all sessions and keys. Raise LastAdmin for the only active admin."""
        user.require_other_admin()
        if self.users.deactivate(user):
            user.end_sessions()
            deactivated.send(User, user=user)

    def activate(self, user: User) -> None:
        """Allow the user to log in again."""
        if not user.is_active:
            self.users.update(user, {"is_active": True})

    def erase(self, user: User) -> None:
        """Delete the personal data in core and in all slices, and end all sessions. The row stays, for foreign keys.

        Raise LastAdmin for the only active admin.
        """
        user.require_other_admin()
        erased.send(User, user=user)
        delete_of_callers({str(user.id), user.subject or str(user.id)})
        self.users.deactivate(user)  # first, so that `save` does not send `deactivated` too
        user.set_unusable_password()
        self.users.update(
            user,
            {
                "name": "",
                "email": None,
                "issuer": None,
                "subject": None,
                "last_login": None,
                "is_active": False,
                "is_staff": False,
                "is_superuser": False,
                "password": user.password,
            },
        )
        SessionRepository().delete_of_user(user.id)
        ApiKeyRepository().of_user(user.id).delete()
        EmailTokenRepository().delete_of_user(user.id)
        self.users.clear_permissions(user)
        self.users.rename_log_entries(user)

    def export(self, user: User) -> PersonalData:
        """Return all data of a user."""
        sessions = [SessionDetails.model_validate(session) for session in SessionRepository().all_of(user.id)]
        keys = [ApiKeyDetails.model_validate(key) for key in ApiKeyRepository().of_user(user.id)]
        account = AccountExport.model_validate(user).model_copy(update={"sessions": sessions, "api_keys": keys})
        return PersonalData.of(account, exporting.send(User, user=user))


def logged_in(user: User) -> CurrentUser:
    """Return `user` with the scopes of a log-in."""
    return CurrentUser(user.id, scopes_of(user.role_names, admin=user.is_superuser))
