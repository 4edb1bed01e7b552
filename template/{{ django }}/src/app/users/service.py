"""What can be done with users."""

from typing import NamedTuple

from django.db import IntegrityError, transaction
from pydantic import Secret, ValidationError

from app.config import ConfigError
from app.db import give_back
from app.pagination import Paginator
from app.problems import Conflict, NotFound
from app.security import ADMIN, Principal, hash_password, verify_password
from app.users.models import User
from app.users.repository import UserRepository
from app.users.schemas import UserCreate


class EmailTaken(Conflict):
    type = "urn:problem-type:email-taken"
    detail = "Somebody is registered under this e-mail address."


class Account(NamedTuple):
    """What a log-in needs to know of a user."""

    user_id: int
    scopes: frozenset[str]


class UserService:
    """Users, within the request's unit of work."""

    def __init__(self) -> None:
        self.users = UserRepository()

    def create(self, data: UserCreate, hashed: str, *, admin: bool = False) -> User:
        """Register a user, whose password is `hashed`. EmailTaken when the address is in use, whatever its case."""
        fields = data.model_dump(exclude={"password"}) | {"password_hash": hashed, "is_admin": admin}
        try:
            # In a savepoint, so that the transaction is still good when the address is taken.
            with transaction.atomic():
                return self.users.create(fields)
        except IntegrityError:
            raise EmailTaken from None

    def get(self, user_id: int, *, reader: Principal, reader_id: int) -> User:
        """A user. NotFound also for one whom the reader may not see: their number is nobody's business."""
        user = self.users.get(user_id) if user_id == reader_id or reader.is_admin else None
        if user is None:
            raise NotFound("There is no such user.")
        return user

    def page(self, paginator: Paginator) -> tuple[list[User], int]:
        """The users of one page, and how many there are in all."""
        return self.users.page(paginator)

    def account(self, user_id: int) -> Account | None:
        """The account of a user who is logged in already."""
        user = self.users.get(user_id)
        return _account(user) if user else None


def authenticate(email: str, password: Secret[str]) -> Account | None:
    """The account of this address, if the password is right. As slow for an address that is not known.

    Without a connection while it hashes: a crowd of log-ins waits for that, and would leave none for anybody else.
    """
    user = UserRepository().get_by_email(email)
    give_back()
    hashed = user.password_hash if user else None
    if not verify_password(password.get_secret_value(), hashed):
        return None
    return _account(user) if user else None


def make_user(email: str, password: str, *, admin: bool) -> str:
    """Create a user from the command line, or make an administrator of one that exists; returns what was done."""
    service = UserService()
    try:
        with transaction.atomic():
            if user := service.users.get_by_email(email):
                user.is_admin = user.is_admin or admin
                user.save(update_fields=["is_admin"])
                return f"{user.email} exists already{', and is an administrator' if user.is_admin else ''}."
            data = UserCreate(name=email.partition("@")[0], email=email, password=Secret(password))
            user = service.create(data, hash_password(password), admin=admin)
            return f"{user.email} is registered{' as an administrator' if admin else ''}."
    except ValidationError as error:
        raise ConfigError("\n".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors())) from None


def _account(user: User) -> Account:
    return Account(user.id, frozenset({ADMIN} if user.is_admin else ()))
