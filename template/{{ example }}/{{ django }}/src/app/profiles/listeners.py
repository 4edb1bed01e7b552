"""Listeners to events of users: delete and export profiles."""

from typing import Any

from django.dispatch import receiver

from app.core import User, erased, exporting
from app.profiles.repository import ProfileRepository
from app.profiles.schemas import ProfileResponse


@receiver(erased)
def delete_profile(user: User, **_: Any) -> None:
    """Delete the profile."""
    ProfileRepository().delete(user.id)


@receiver(exporting)
def export_profile(user: User, **_: Any) -> dict[str, Any] | None:
    """Return the profile, or None."""
    profile = ProfileRepository().get(user.id)
    return ProfileResponse.model_validate(profile).model_dump() if profile else None
