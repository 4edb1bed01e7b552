"""Listeners to events of users: delete and export profiles."""

from typing import Any

from app.core import User, WriteSession, erased, exporting
from app.profiles.repository import ProfileRepository
from app.profiles.schemas import ProfileResponse


@erased.connect
async def erase(session: WriteSession, user: User) -> None:
    """Delete the profile."""
    await ProfileRepository(session).delete(user.id)


@exporting.connect
async def export(session: WriteSession, user: User) -> dict[str, Any] | None:
    """Return the profile, or None."""
    profile = await ProfileRepository(session).get(user.id)
    return ProfileResponse.model_validate(profile).model_dump() if profile else None
