"""Routes of `/users/me/profile`."""

from http import HTTPStatus

from fastapi import APIRouter, Response
from sqlalchemy.exc import IntegrityError

from app.core import LoggedIn, NotFound, ReadOnly, Transaction, Unauthorized, problem_responses
from app.profiles.repository import ProfileRepository
from app.profiles.schemas import ProfileResponse, ProfileUpdate

router = APIRouter(prefix="/users/me/profile", tags=["profiles"])


@router.get("", responses=problem_responses(404))
async def get_profile(user: LoggedIn, session: ReadOnly) -> ProfileResponse:
    """Get your profile."""
    if profile := await ProfileRepository(session).get(user.id):
        return ProfileResponse.model_validate(profile)
    raise NotFound("You have no profile yet.")


@router.put("", responses={HTTPStatus.CREATED: {"model": ProfileResponse}})
async def replace_profile(
    data: ProfileUpdate, user: LoggedIn, session: Transaction, response: Response
) -> ProfileResponse:
    """Create or replace your profile. Missing fields become empty."""
    profiles = ProfileRepository(session)
    try:
        profile = await profiles.create_once(user.id, data.model_dump())
    except IntegrityError:
        raise Unauthorized from None  # the user was deleted after the token was issued
    if profile:
        response.status_code = HTTPStatus.CREATED
    elif profile := await profiles.get(user.id):
        await profiles.update(profile, data.model_dump())
    return ProfileResponse.model_validate(profile)


@router.patch("", responses=problem_responses(404))
async def change_profile(data: ProfileUpdate, user: LoggedIn, session: Transaction) -> ProfileResponse:
    """Change your profile. `null` clears a field; missing fields do not change (RFC 7396)."""
    profiles = ProfileRepository(session)
    profile = await profiles.get(user.id)
    if profile is None:
        raise NotFound("You have no profile yet.")
    return ProfileResponse.model_validate(await profiles.update(profile, data.model_dump(exclude_unset=True)))
