"""Routes of `/users/me/profile`."""

from http import HTTPStatus

from django.db import transaction
from django.http import HttpResponse
from ninja import Router, Status

from app.core import NotFound, Request, Unauthorized, problem_responses, require_match, tagged
from app.profiles.models import Profile
from app.profiles.repository import ProfileRepository
from app.profiles.schemas import ProfileResponse, ProfileUpdate

router = Router(tags=["profiles"])


@router.get("/users/me/profile", response=ProfileResponse, openapi_extra=problem_responses(404))
def get_profile(request: Request, response: HttpResponse) -> ProfileResponse:
    """Get your profile."""
    profile = _found(ProfileRepository().get(request.auth.id))
    return tagged(response, ProfileResponse.model_validate(profile))


@router.put(
    "/users/me/profile",
    response={HTTPStatus.OK: ProfileResponse, HTTPStatus.CREATED: ProfileResponse},
    openapi_extra=problem_responses(404, 412),
)
@transaction.atomic
def replace_profile(request: Request, data: ProfileUpdate, response: HttpResponse) -> Status[ProfileResponse]:
    """Create or replace your profile. Missing fields become empty."""
    profiles = ProfileRepository()
    if not profiles.user_is_active(request.auth.id):  # deactivated or deleted after the token was issued
        raise Unauthorized
    current = profiles.get_for_update(request.auth.id)
    require_match(request, ProfileResponse.model_validate(current) if current else None)
    profile, is_new = profiles.put(request.auth.id, data.model_dump())
    answer = tagged(response, ProfileResponse.model_validate(profile))
    return Status(HTTPStatus.CREATED if is_new else HTTPStatus.OK, answer)


@router.patch("/users/me/profile", response=ProfileResponse, openapi_extra=problem_responses(404, 412))
@transaction.atomic
def change_profile(request: Request, data: ProfileUpdate, response: HttpResponse) -> ProfileResponse:
    """Change your profile. `null` clears a field; missing fields do not change (RFC 7396)."""
    profiles = ProfileRepository()
    profile = _found(profiles.get_for_update(request.auth.id))
    require_match(request, ProfileResponse.model_validate(profile))
    profiles.update(profile, data.model_dump(exclude_unset=True))
    return tagged(response, ProfileResponse.model_validate(profile))


def _found(profile: Profile | None) -> Profile:
    if profile:
        return profile
    raise NotFound("You have no profile yet.")
