"""Profiles in the database."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.dialects.postgresql import insert

from app.core import BaseRepository, ReadSession, WriteSession
from app.profiles.models import Profile


class ProfileRepository[Session: ReadSession](BaseRepository[Profile, Session]):
    """Profiles. The primary key is the id of the user."""

    model = Profile

    async def create_once(
        self: "ProfileRepository[WriteSession]", user_id: int, data: Mapping[str, Any]
    ) -> Profile | None:
        """Store a profile and return it. None if the user has a profile. IntegrityError for an unknown user."""
        insertion = insert(Profile).values(user_id=user_id, **data).on_conflict_do_nothing()
        return await self.session.scalar(insertion.returning(Profile))
