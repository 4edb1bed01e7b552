"""Database operations of `python -m app user`. Each runs in its own transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any

from pydantic import Secret

from app.core.accounts.email.invitations import InvitationService
from app.core.accounts.email.schemas import InvitationCreate
from app.core.accounts.models import User
from app.core.accounts.repository import WITH_ROLES
from app.core.accounts.schemas import AccountExport, UserCreate
from app.core.accounts.service import UserService
from app.core.config import ConfigError, Settings
from app.core.database.base import load_models
from app.core.database.engine import Database
from app.core.security.passwords import hash_password
from app.core.slices import import_all


def find(who: int | str) -> int | None:
    """Return the id of the user with this id or address, or None."""

    async def work(service: UserService) -> int | None:
        user = await (service.users.get(who) if isinstance(who, int) else service.users.get_by_email(who))
        return user.id if user else None

    return _transact(work)


def create(data: UserCreate, *, admin: bool, roles: Iterable[str]) -> None:
    async def work(service: UserService) -> None:
        user = await service.create(data, admin=admin)
        await service.users.add_roles(user.id, roles)

    _transact(work)


def invite(data: InvitationCreate) -> str | None:
    """Create an invitation. Return its token, unless a message has it."""

    async def work(service: UserService) -> str | None:
        _, token = await InvitationService(service.session).create(data)
        return token

    return _transact(work)


def change(user_id: int, *, admin: bool | None, add: Iterable[str], remove: Iterable[str]) -> AccountExport:
    """Make the user an admin, or no longer one, unless `admin` is None; add and remove roles; return the user."""

    async def work(service: UserService, user: User) -> AccountExport:
        await service.change_roles(user, admin=admin, add=add, remove=remove)
        return AccountExport.model_validate(await service.users.lock(user.id))

    return _change(user_id, work)


def set_password(user_id: int, password: Secret[str]) -> None:
    """Set a new password and end all sessions."""
    hashed = hash_password(password.get_secret_value())
    _change(user_id, lambda service, user: service.set_password(user, hashed))


def deactivate(user_id: int) -> None:
    """Forbid the user to log in, and end all sessions."""
    _change(user_id, UserService.deactivate)


def activate(user_id: int) -> None:
    """Allow the user to log in again."""
    _change(user_id, UserService.activate)


def erase(user_id: int) -> None:
    """Delete the personal data of the user."""
    _change(user_id, UserService.erase)


def export(user_id: int) -> dict[str, Any]:
    """Return all data of the user."""
    return _change(user_id, UserService.export).model_dump(mode="json")


def show_users(show: Callable[[AccountExport], None]) -> None:
    async def work(service: UserService) -> None:
        async with aclosing(service.users.stream(WITH_ROLES)) as users:
            async for user in users:
                show(AccountExport.model_validate(user))

    _transact(work)


def _change[T](user_id: int, work: Callable[[UserService, User], Awaitable[T]]) -> T:
    async def locked(service: UserService) -> T:
        if user := await service.users.lock(user_id):
            return await work(service, user)
        raise ConfigError(f"There is no user {user_id} any more.")

    return _transact(locked)


def _transact[T](work: Callable[[UserService], Awaitable[T]]) -> T:
    load_models()
    import_all("listeners")

    async def run() -> T:
        database = Database.connect(Settings.load())
        try:
            async with database.sessions.begin() as session:
                return await work(UserService(session))
        finally:
            await database.close()

    return asyncio.run(run())
