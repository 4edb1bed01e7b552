"""Database operations of `python -m app user`. Each runs in its own transaction."""

# ruff: noqa: E402 -- the models can be imported only after `set_up`

from collections.abc import Callable
from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import transaction
from pydantic import Secret

from app.core.cli.operations import set_up

set_up()

from app.core.accounts.email.invitations import InvitationService
from app.core.accounts.email.schemas import InvitationCreate
from app.core.accounts.models import User
from app.core.accounts.repository import UserRepository
from app.core.accounts.schemas import AccountExport, UserCreate
from app.core.accounts.service import UserService


def find(who: int | str) -> int | None:
    """Return the id of the user with this id or address, or None."""
    users = UserRepository()
    found = users.get(who) if isinstance(who, int) else users.get_by_email(who)
    return found.id if found else None


def create(data: UserCreate, *, admin: bool, roles: list[str]) -> None:
    hashed = make_password(data.password.get_secret_value())
    service = UserService()
    with transaction.atomic():
        service.change_roles(service.create(data, hashed, admin=admin), add=roles, remove=[])


@transaction.atomic
def invite(data: InvitationCreate) -> str | None:
    """Create an invitation. Return its token, unless a message has it."""
    _, token = InvitationService().create(data)
    return token


@transaction.atomic
def change(user_id: int, *, admin: bool | None, add: list[str], remove: list[str]) -> AccountExport:
    """Make the user an admin, or no longer one, unless `admin` is None; add and remove roles; return the user."""
    service, user = UserService(), _get(user_id)
    service.change_roles(user, admin=admin, add=add, remove=remove)
    return AccountExport.model_validate(user)


@transaction.atomic
def set_password(user_id: int, password: Secret[str]) -> None:
    """Set a new password and end all sessions."""
    UserService().set_password(_get(user_id), password)


@transaction.atomic
def deactivate(user_id: int) -> None:
    """Forbid the user to log in, and end all sessions."""
    UserService().deactivate(_get(user_id))


@transaction.atomic
def activate(user_id: int) -> None:
    """Allow the user to log in again."""
    UserService().activate(_get(user_id))


@transaction.atomic
def erase(user_id: int) -> None:
    """Delete the personal data of the user."""
    UserService().erase(_get(user_id))


@transaction.atomic
def export(user_id: int) -> dict[str, Any]:
    """Return all data of the user."""
    return UserService().export(_get(user_id)).model_dump(mode="json")


def show_users(show: Callable[[AccountExport], None]) -> None:
    for user in UserRepository().stream("groups"):
        show(AccountExport.model_validate(user))


def _get(user_id: int) -> User:
    return User.objects.select_for_update().get(id=user_id)
