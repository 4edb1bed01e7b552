"""Listeners to events of users."""

from typing import Any

from django.dispatch import receiver

from app.core import User, erased, exporting
from app.profiles.repository import ProfileRepository
from app.profiles.schemas import ProfileResponse


@receiver(erased)
def delete_profile(user: User, **_: Any) -> None:
    """Delete the profile with the other personal data."""
    ProfileRepository().delete(user.id)


@receiver(exporting)
def export_profile(user: User, **_: Any) -> dict[str, Any] | None:
    """Export the profile."""
    profile = ProfileRepository().get(user.id)
    return ProfileResponse.model_validate(profile).model_dump() if profile else None
