"""What can be done with users."""

import asyncio
from typing import NamedTuple

from pydantic import Secret, ValidationError
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.config import ConfigError, Settings
from app.db import Database
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
    """Users, within the unit of work that `session` is."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session
        self.users = UserRepository(session)

    async def create(self, data: UserCreate, *, admin: bool = False) -> User:
        """Register a user. EmailTaken when the address is in use, whatever its case."""
        hashed = await asyncio.to_thread(hash_password, data.password.get_secret_value())
        fields = data.model_dump(exclude={"password"}) | {"password_hash": hashed, "is_admin": admin}
        try:
            # In a savepoint, so that the session is still good when the address is taken.
            async with self.session.begin_nested():
                return await self.users.create(fields)
        except IntegrityError:
            raise EmailTaken from None

    async def get(self, user_id: int, *, reader: Principal, reader_id: int) -> User:
        """A user. NotFound also for one whom the reader may not see: their number is nobody's business."""
        user = await self.users.get(user_id) if user_id == reader_id or reader.is_admin else None
        if user is None:
            raise NotFound("There is no such user.")
        return user

    async def page(self, paginator: Paginator) -> tuple[list[User], int]:
        """The users of one page, and how many there are in all."""
        return await self.users.page(paginator)

    async def account(self, user_id: int) -> Account | None:
        """The account of a user who is logged in already."""
        user = await self.users.get(user_id)
        return _account(user) if user else None


async def authenticate(database: Database, email: str, password: Secret[str]) -> Account | None:
    """The account of this address, if the password is right. As slow for an address that is not known.

    Without a connection while it hashes: a crowd of log-ins waits for that, and would leave none for anybody else.
    """
    async with database.reading_sessions() as session:
        user = await UserRepository(session).get_by_email(email)
    hashed = user.password_hash if user else None
    if not await asyncio.to_thread(verify_password, password.get_secret_value(), hashed):
        return None
    return _account(user) if user else None


async def make_user(email: str, password: str, *, admin: bool) -> str:
    """Create a user from the command line, or make an administrator of one that exists; returns what was done."""
    database = Database.connect(Settings.load())
    try:
        async with database.sessions.begin() as session:
            service = UserService(session)
            if user := await service.users.get_by_email(email):
                user.is_admin = user.is_admin or admin
                return f"{user.email} exists already{', and is an administrator' if user.is_admin else ''}."
            data = UserCreate(name=email.partition("@")[0], email=email, password=Secret(password))
            user = await service.create(data, admin=admin)
            return f"{user.email} is registered{' as an administrator' if admin else ''}."
    except ValidationError as error:
        raise ConfigError("\n".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors())) from None
    finally:
        await database.close()


def _account(user: User) -> Account:
    return Account(user.id, frozenset({ADMIN} if user.is_admin else ()))
