"""Profiles in the database."""

from collections.abc import Mapping
from typing import Any

from app.core import BaseRepository, User
from app.profiles.models import Profile


class ProfileRepository(BaseRepository[Profile]):
    """Profiles. The primary key is the id of the user."""

    model = Profile

    def put(self, user_id: int, fields: Mapping[str, Any]) -> tuple[Profile, bool]:
        """Create or replace the profile of a user. Return the profile, and whether it is new."""
        return self.rows.update_or_create(user_id=user_id, defaults=fields)

    def user_is_active(self, user_id: int) -> bool:
        return User.objects.filter(id=user_id, is_active=True).exists()
