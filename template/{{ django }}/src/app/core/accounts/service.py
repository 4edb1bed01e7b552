"""What can be done with users."""

from typing import Any

from django.db import IntegrityError, transaction
from pydantic import Secret

from app.core.accounts.events import deactivated, erased, exporting
from app.core.accounts.exports import assemble
from app.core.accounts.models import EMAIL_TAKEN, User
from app.core.accounts.repository import UserRepository
from app.core.accounts.roles import scopes_of
from app.core.accounts.schemas import AccountExport, ProvidedUser, UserCreate
from app.core.database.transactions import give_back
from app.core.problems import Conflict
from app.core.security.passwords import verify_password
from app.core.security.users import CurrentUser


class EmailTaken(Conflict):
    type = "urn:problem-type:email-taken"
    detail = EMAIL_TAKEN


class UserService:
    """Users, within the request's transaction."""

    def __init__(self) -> None:
        self.users = UserRepository()

    def create(self, data: UserCreate, hashed: str, *, admin: bool = False) -> User:
        """Register a user, whose password is `hashed`. EmailTaken when the address is in use, whatever its case."""
        fields = data.model_dump(exclude={"password"}) | {"is_superuser": admin, "is_staff": admin}
        try:
            # In a savepoint, so that the transaction is still good when the address is taken.
            with transaction.atomic():
                return self.users.create(fields | {"password": hashed})
        except IntegrityError:
            if self.users.get_by_email(data.email):
                raise EmailTaken from None
            raise  # of a listener

    def enter(self, data: ProvidedUser) -> User:
        """Return the user of an identity provider, who is created if unknown.

        Without the address when that belongs to another account, which is never taken over.
        """
        fields = data.model_dump()
        try:
            with transaction.atomic():
                return self.users.create(fields)
        except IntegrityError:
            # A concurrent first request may have created the same user.
            if found := self.users.get_by_subject(data.issuer, data.subject):
                return found
        return self.users.create(fields | {"email": None})

    def change_roles(self, user: User, *, add: list[str], remove: list[str]) -> None:
        """Give roles to a user, and take roles away."""
        self.users.add_groups(user, add)
        self.users.remove_groups(user, remove)

    def set_password(self, user: User, password: Secret[str]) -> None:
        """Set a new password and end all sessions."""
        user.set_password(password.get_secret_value())
        self.users.update(user, {"password": user.password})

    def deactivate(self, user: User) -> None:
        """Forbid the user to log in, and end all sessions."""
        if self.users.deactivate(user):
            user.end_sessions()
            deactivated.send(User, user=user)

    def activate(self, user: User) -> None:
        """Allow the user to log in again."""
        self.users.update(user, {"is_active": True})

    def erase(self, user: User) -> None:
        """Delete the personal data in core and in every slice, and end all sessions. The row stays, anonymous."""
        erased.send(User, user=user)
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
        self.users.clear_permissions(user)
        self.users.rename_log_entries(user)

    def export(self, user: User) -> dict[str, Any]:
        """Return all data of the user: `account`, and what each slice keeps under the name of the slice."""
        return assemble(AccountExport.model_validate(user), exporting.send(User, user=user))


def authenticate(email: str, password: Secret[str]) -> User | None:
    """Return the active user of this address if the password is right. As slow for an address that is not known.

    Without a connection while it hashes: a crowd of log-ins waits for that, and would leave none for anybody else.
    """
    user = UserRepository().get_by_email(email)
    give_back()
    if user is None:
        verify_password(password.get_secret_value(), None)
        return None
    return user if user.check_password(password.get_secret_value()) and user.is_active else None


def logged_in(user: User) -> CurrentUser:
    """Return `user` with the scopes that a log-in gives."""
    return CurrentUser(user.id, scopes_of(user.role_names, admin=user.is_admin))
