"""Which user a token belongs to."""

from django.db import IntegrityError, transaction
from pydantic import ValidationError

from app.dependencies import Authenticated
from app.problems import Forbidden, NotFound
from app.requests import Request
from app.security import Principal
from app.users.repository import UserRepository
from app.users.schemas import ProvidedUser


class Identified(Authenticated):
    """Whoever the token names, with the key of that user as `request.user_id`.

    The service's own tokens hold it. A token of the identity provider holds the provider's name for the user, who is
    entered when first seen, before the request's unit of work begins: whoever is new is entered even if the request
    itself fails. Forbidden when that is not possible.
    """

    def __call__(self, request: Request) -> Principal:
        principal = super().__call__(request)
        if request.service.settings.jwt_issuer is None:
            request.user_id = int(principal.subject)
        else:
            users = UserRepository()
            user = users.get_by_subject(principal.subject)
            request.user_id = user.id if user else _enter(users, principal)
        return principal


def _enter(users: UserRepository, principal: Principal) -> int:
    claims = principal.claims
    if claims.get("email_verified") is not True:
        raise Forbidden("The identity provider has not verified the e-mail address.")
    try:
        named = {"name": claims.get("name") or claims.get("email"), "email": claims.get("email")}
        data = ProvidedUser.model_validate(named | {"subject": principal.subject})
        with transaction.atomic():
            return users.create(data.model_dump()).id
    except ValidationError:
        raise Forbidden("The token must name an e-mail address and a name.") from None
    except IntegrityError:
        # Either two first requests at once, or an address that somebody else registered: never take over the latter.
        if user := users.get_by_subject(principal.subject):
            return user.id
        raise Forbidden("The e-mail address belongs to another account.") from None


def require_local_accounts(request: Request) -> None:
    """NotFound where an identity provider keeps the accounts: there are no passwords here then."""
    if request.service.settings.jwt_issuer is not None:
        raise NotFound


identified = Identified()
