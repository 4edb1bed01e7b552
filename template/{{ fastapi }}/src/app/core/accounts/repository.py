"""Users in the database."""

from collections.abc import AsyncGenerator, Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Select, delete, func, literal, or_, select, union_all, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import selectinload

from app.core.accounts.auth.models import DeletedUser
from app.core.accounts.models import Role, User, user_roles
from app.core.accounts.schemas import UserQuery
from app.core.database.repository import BaseRepository
from app.core.database.sessions import ReadSession, WriteSession

USERS = select(User)
WITH_ROLES = USERS.options(selectinload(User.roles))


class UserRepository[Session: ReadSession](BaseRepository[User, Session]):
    model = User
    ROWS_AT_A_TIME = 500

    async def get_by_email(self, email: str) -> User | None:
        """Return the user with this address and the roles. Ignores case."""
        return await self.session.scalar(WITH_ROLES.where(func.lower(User.email) == func.lower(email)))

    async def id_of(self, email: str) -> int | None:
        """Return the id of the user with this address, or None. Ignores case."""
        return await self.session.scalar(select(User.id).where(func.lower(User.email) == func.lower(email)))

    async def get_by_subject(self, issuer: str, subject: str) -> User | None:
        """Return the user with this `subject` of the identity provider `issuer`."""
        return await self.session.scalar(select(User).where(User.issuer == issuer, User.subject == subject))

    async def get_with_roles(self, user_id: int, *, fresh: bool = False) -> User | None:
        """Return the user with this id and the roles. With `fresh`, reload values that the session has loaded."""
        query = WITH_ROLES.where(User.id == user_id).execution_options(populate_existing=fresh)
        return await self.session.scalar(query)

    async def find(self, query: UserQuery) -> tuple[list[User], int]:
        """Return one page of the users that match the filters, with their roles, and the total number."""
        conditions: list[ColumnElement[bool]] = []
        if query.q:
            conditions.append(or_(*(column.icontains(query.q, autoescape=True) for column in (User.name, User.email))))
        if query.is_active is not None:
            conditions.append(User.is_active.is_(query.is_active))
        if query.role:
            conditions.append(User.roles.any(Role.name == query.role))
        return await self.page(query, WITH_ROLES.where(*conditions))

    async def revoked_since(self, age: timedelta) -> Iterable[tuple[int, datetime]]:
        """Return the user id and the time of each revocation and each deletion within `age`."""
        revoked = select(User.id, User.revoked_at).where(User.revoked_at > func.now() - age)
        deleted = select(DeletedUser.id, DeletedUser.deleted_at).where(DeletedUser.deleted_at > func.now() - age)
        found: CompoundSelect[int, Any] = union_all(revoked, deleted)
        return [(user_id, at) for user_id, at in await self.session.execute(found) if at]

    async def lock_admins(self: "UserRepository[WriteSession]") -> None:
        """Let one transaction at a time remove an admin: two admins who remove each other would leave none."""
        await self.session.execute(select(func.pg_advisory_xact_lock(func.hashtext("core_accounts.admins"))))

    async def has_other_admin(self, user_id: int) -> bool:
        """Return whether there is another active admin."""
        others = select(User.id).where(User.is_superuser, User.is_active, User.id != user_id).limit(1)
        return await self.session.scalar(others) is not None

    async def lock(self: "UserRepository[WriteSession]", user_id: int) -> User | None:
        """Lock the row of the user until the end of the transaction. Return the user with the roles."""
        locked = WITH_ROLES.where(User.id == user_id).with_for_update(key_share=True)
        return await self.session.scalar(locked.execution_options(populate_existing=True))

    async def note_log_in(self: "UserRepository[WriteSession]", user: User) -> bool:
        """Set the time of the last log-in. Return False if the account is inactive, or has changed meanwhile."""
        is_same = (User.password == user.password) & User.revoked_at.is_not_distinct_from(user.revoked_at)
        unchanged = (User.id == user.id) & User.is_active & is_same
        values = {"last_login": func.now(), "updated_at": User.updated_at}  # a log-in does not change the account
        noted = update(User).where(unchanged).values(values).returning(User.id)
        return await self.session.scalar(noted) is not None

    async def add_roles(self: "UserRepository[WriteSession]", user_id: int, names: Iterable[str]) -> None:
        """Add roles to the user. Creates roles that do not exist."""
        for name in names:
            await self.session.execute(insert(Role).values(name=name).on_conflict_do_nothing())
            role = select(literal(user_id), Role.id).where(Role.name == name)
            chosen = insert(user_roles).from_select(["user_id", "role_id"], role)
            await self.session.execute(chosen.on_conflict_do_nothing())

    async def remove_roles(
        self: "UserRepository[WriteSession]", user_id: int, names: Iterable[str] | None = None
    ) -> None:
        """Remove roles from the user; all roles without `names`."""
        removal = delete(user_roles).where(user_roles.c.user_id == user_id)
        if names is not None:
            removal = removal.where(user_roles.c.role_id.in_(select(Role.id).where(Role.name.in_(names))))
        await self.session.execute(removal)

    async def stream(self, query: Select[User] = USERS) -> AsyncGenerator[User]:
        """Yield every user, oldest first, from a server-side cursor: memory use is constant."""
        query = query.order_by(User.id).execution_options(yield_per=self.ROWS_AT_A_TIME)
        result = await self.session.stream(query)
        async for users in result.scalars().partitions():
            for user in users:
                yield user
