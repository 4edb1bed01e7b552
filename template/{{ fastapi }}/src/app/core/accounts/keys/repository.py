"""API keys in the database."""

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import selectinload

from app.core.accounts.auth.models import ApiKey
from app.core.accounts.keys.schemas import USE_INTERVAL, ApiKeyQuery
from app.core.accounts.models import User
from app.core.database.repository import BaseRepository
from app.core.database.sessions import ReadSession, WriteSession


class ApiKeyRepository[Session: ReadSession](BaseRepository[ApiKey, Session]):
    model = ApiKey

    async def find(self, user_id: int, query: ApiKeyQuery) -> tuple[list[ApiKey], int]:
        """Return one page of the keys of a user, and their number."""
        return await self.page(query, select(ApiKey).where(ApiKey.user_id == user_id))

    async def all_of(self, user_id: int) -> list[ApiKey]:
        """Return all keys of a user."""
        return list(await self.session.scalars(select(ApiKey).where(ApiKey.user_id == user_id).order_by(ApiKey.id)))

    async def find_valid(self, digest: str) -> tuple[ApiKey, User] | None:
        """Return a key that has not expired, and its owner with the roles. None for an inactive owner."""
        owner = (User.id == ApiKey.user_id) & User.is_active
        found = select(ApiKey, User).join(User, owner).options(selectinload(User.roles))
        row = (await self.session.execute(found.where(ApiKey.digest == digest, _valid()))).one_or_none()
        return None if row is None else (row[0], row[1])

    async def note_use(self: "ApiKeyRepository[WriteSession]", key_id: int) -> None:
        """Set the time of the last use, unless another request has just set it."""
        is_old = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < func.now() - USE_INTERVAL)
        await self.session.execute(update(ApiKey).where(ApiKey.id == key_id, is_old).values(last_used_at=func.now()))

    async def count(self, user_id: int) -> int:
        """Return the number of keys of a user."""
        return await self.session.scalar(select(func.count()).where(ApiKey.user_id == user_id)) or 0

    async def delete_expired(self: "ApiKeyRepository[WriteSession]", user_id: int) -> None:
        """Delete the expired keys of a user."""
        await self.session.execute(delete(ApiKey).where(ApiKey.user_id == user_id, ~_valid()))

    async def delete_own(self: "ApiKeyRepository[WriteSession]", user_id: int, key_id: int) -> bool:
        """Delete a key of a user. Return whether it existed."""
        own = delete(ApiKey).where(ApiKey.user_id == user_id, ApiKey.id == key_id).returning(ApiKey.id)
        return await self.session.scalar(own) is not None

    async def delete_of_user(self: "ApiKeyRepository[WriteSession]", user_id: int) -> None:
        """Delete all keys of a user."""
        await self.session.execute(delete(ApiKey).where(ApiKey.user_id == user_id))


def _valid() -> ColumnElement[bool]:
    return or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now())
