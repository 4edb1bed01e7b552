"""Which user a token belongs to."""

from typing import Annotated

from fastapi import Depends, Request
from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError

from app.db import get_database
from app.dependencies import CurrentPrincipal, CurrentSettings
from app.problems import Forbidden, NotFound
from app.security import Principal
from app.users.repository import UserRepository
from app.users.schemas import ProvidedUser


async def current_user_id(request: Request, principal: CurrentPrincipal) -> int:
    """The key of the user who sends the request.

    The service's own tokens hold it. A token of the identity provider holds the provider's name for the user, who is
    entered when first seen. Forbidden when that is not possible.
    """
    if request.app.state.settings.jwt_issuer is None:
        return int(principal.subject)
    database = get_database(request)
    async with database.reading_sessions() as session:
        if user := await UserRepository(session).get_by_subject(principal.subject):
            return user.id
    # A unit of work of its own: whoever is new is entered even if the request itself fails.
    async with database.sessions.begin() as session:
        return await _enter(UserRepository(session), principal)


async def _enter(users: UserRepository, principal: Principal) -> int:
    claims = principal.claims
    if claims.get("email_verified") is not True:
        raise Forbidden("The identity provider has not verified the e-mail address.")
    try:
        named = {"name": claims.get("name") or claims.get("email"), "email": claims.get("email")}
        data = ProvidedUser.model_validate(named | {"subject": principal.subject})
        async with users.session.begin_nested():
            return (await users.create(data.model_dump())).id
    except ValidationError:
        raise Forbidden("The token must name an e-mail address and a name.") from None
    except IntegrityError:
        # Either two first requests at once, or an address that somebody else registered: never take over the latter.
        if user := await users.get_by_subject(principal.subject):
            return user.id
        raise Forbidden("The e-mail address belongs to another account.") from None


async def require_local_accounts(settings: CurrentSettings) -> None:
    """NotFound where an identity provider keeps the accounts: there are no passwords here then."""
    if settings.jwt_issuer is not None:
        raise NotFound


CurrentUserId = Annotated[int, Depends(current_user_id)]
