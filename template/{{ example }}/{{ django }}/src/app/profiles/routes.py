"""Routes of `/users/me/profile`."""

from http import HTTPStatus

from django.db import transaction
from ninja import Router, Status

from app.core import NotFound, Request, Unauthorized, problem_responses
from app.profiles.models import Profile
from app.profiles.repository import ProfileRepository
from app.profiles.schemas import ProfileResponse, ProfileUpdate

router = Router(tags=["profiles"])


@router.get("/users/me/profile", response=ProfileResponse, openapi_extra=problem_responses(404))
def get_profile(request: Request) -> ProfileResponse:
    """Get your profile."""
    return ProfileResponse.model_validate(_profile_of(request))


@router.put("/users/me/profile", response={HTTPStatus.OK: ProfileResponse, HTTPStatus.CREATED: ProfileResponse})
@transaction.atomic
def replace_profile(request: Request, data: ProfileUpdate) -> Status[ProfileResponse]:
    """Create or replace your profile. Missing fields become empty."""
    profiles = ProfileRepository()
    if not profiles.user_is_active(request.auth.id):  # deactivated or deleted after the token was issued
        raise Unauthorized
    profile, is_new = profiles.put(request.auth.id, data.model_dump())
    return Status(HTTPStatus.CREATED if is_new else HTTPStatus.OK, ProfileResponse.model_validate(profile))


@router.patch("/users/me/profile", response=ProfileResponse, openapi_extra=problem_responses(404))
@transaction.atomic
def change_profile(request: Request, data: ProfileUpdate) -> ProfileResponse:
    """Change your profile. `null` clears a field; missing fields do not change (RFC 7396)."""
    profile = ProfileRepository().update(_profile_of(request), data.model_dump(exclude_unset=True))
    return ProfileResponse.model_validate(profile)


def _profile_of(request: Request) -> Profile:
    if profile := ProfileRepository().get(request.auth.id):
        return profile
    raise NotFound("You have no profile yet.")
