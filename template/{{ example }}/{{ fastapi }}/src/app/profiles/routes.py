"""Routes of `/users/me/profile`."""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from sqlalchemy.exc import IntegrityError

from app.core import (
    LoggedIn,
    NotFound,
    ReadOnly,
    Transaction,
    Unauthorized,
    WriteSession,
    problem_responses,
    require_match,
    tagged,
)
from app.profiles.models import Profile
from app.profiles.repository import ProfileRepository
from app.profiles.schemas import ProfileResponse, ProfileUpdate

router = APIRouter(prefix="/users/me/profile", tags=["profiles"])


@router.get("", responses=problem_responses(404))
async def get_profile(user: LoggedIn, session: ReadOnly, response: Response) -> ProfileResponse:
    """Get your profile."""
    if profile := await ProfileRepository(session).get(user.id):
        return tagged(response, ProfileResponse.model_validate(profile))
    raise NotFound("You have no profile yet.")


@router.put("", responses={HTTPStatus.CREATED: {"model": ProfileResponse}} | problem_responses(404, 412))
async def replace_profile(
    data: ProfileUpdate, user: LoggedIn, session: Transaction, request: Request, response: Response
) -> ProfileResponse:
    """Create or replace your profile. Missing fields become empty."""
    profiles = ProfileRepository(session)
    if not await profiles.user_is_active(user.id):  # deactivated or deleted after the token was issued
        raise Unauthorized
    try:
        profile = await profiles.create_once(user.id, data.model_dump())
    except IntegrityError:
        raise Unauthorized from None  # deleted meanwhile
    if profile:
        require_match(request, None)
        response.status_code = HTTPStatus.CREATED
    else:
        profile = await _changeable(profiles, user.id, request)
        await profiles.update(profile, data.model_dump())
    return tagged(response, ProfileResponse.model_validate(profile))


@router.patch("", responses=problem_responses(404, 412))
async def change_profile(
    data: ProfileUpdate, user: LoggedIn, session: Transaction, request: Request, response: Response
) -> ProfileResponse:
    """Change your profile. `null` clears a field; missing fields do not change (RFC 7396)."""
    profiles = ProfileRepository(session)
    profile = await _changeable(profiles, user.id, request)
    await profiles.update(profile, data.model_dump(exclude_unset=True))
    return tagged(response, ProfileResponse.model_validate(profile))


async def _changeable(profiles: ProfileRepository[WriteSession], user_id: int, request: Request) -> Profile:
    profile = await profiles.get_for_update(user_id)
    if profile is None:
        raise NotFound("You have no profile yet.")
    require_match(request, ProfileResponse.model_validate(profile))
    return profile
