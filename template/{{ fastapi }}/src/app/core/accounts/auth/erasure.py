"""Erasure of accounts by their users."""

from pydantic import Secret

from app.core.accounts.auth.service import verified_hash
from app.core.accounts.service import UserService
from app.core.database.engine import Database
from app.core.security.users import CurrentUser


async def erase_account(database: Database, caller: CurrentUser, password: Secret[str] | None) -> bool:
    """Erase the user. Return False if the password is wrong. Raise LastAdmin for the only active admin.

    None as password means that the caller proved the identity otherwise.
    """
    known = await verified_hash(database, caller.id, password) if password else None
    if password and known is None:
        return False
    async with database.sessions.begin() as session:
        service = UserService(session)
        user = await service.users.lock(caller.id)
        if user is None or not user.is_active or (password and user.password != known):  # changed meanwhile
            return False
        await service.erase(user)
    return True
