"""Profiles in the database."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.core import BaseRepository, ReadSession, User, WriteSession
from app.profiles.models import Profile


class ProfileRepository[Session: ReadSession](BaseRepository[Profile, Session]):
    """Profiles. The primary key is the id of the user."""

    model = Profile

    async def user_is_active(self, user_id: int) -> bool:
        found = select(User.id).where(User.id == user_id, User.is_active)
        return await self.session.scalar(found) is not None

    async def create_once(
        self: "ProfileRepository[WriteSession]", user_id: int, data: Mapping[str, Any]
    ) -> Profile | None:
        """Store a profile and return it. None if the user has a profile. Raise IntegrityError for an unknown user."""
        insertion = insert(Profile).values(user_id=user_id, **data).on_conflict_do_nothing()
        return await self.session.scalar(insertion.returning(Profile))
