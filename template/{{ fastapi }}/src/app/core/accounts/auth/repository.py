"""Sessions and refresh tokens in the database."""

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, func, or_, select, update

from app.core.accounts.auth.models import DeletedUser, RefreshToken, UserSession
from app.core.accounts.auth.schemas import SessionQuery
from app.core.database.repository import BaseRepository
from app.core.database.sessions import ReadSession, WriteSession
from app.core.security.tokens import REVOCATION_MARGIN

MAX_USED_TOKENS = 100
"""Used refresh tokens that a session keeps, to notice their reuse. An older one is refused like an unknown token."""

REUSE_GRACE = timedelta(seconds=5)
"""Time after the use of a refresh token in which a second use does not end the session: two tabs may refresh."""

KEPT_AFTER_END = timedelta(days=1) + REVOCATION_MARGIN
"""Time that an ended session stays in the database: no access token lives longer."""


class SessionRepository[Session: ReadSession](BaseRepository[UserSession, Session]):
    model = UserSession

    async def find(self, user_id: int, query: SessionQuery) -> tuple[list[UserSession], int]:
        """Return one page of the active sessions of a user, and their number."""
        return await self.page(query, select(UserSession).where(UserSession.user_id == user_id, *_active()))

    async def all_of(self, user_id: int) -> list[UserSession]:
        """Return all stored sessions of a user, also ended ones."""
        found = select(UserSession).where(UserSession.user_id == user_id).order_by(UserSession.id)
        return list(await self.session.scalars(found))

    async def find_by_token(self, digest: str) -> UserSession | None:
        """Return the session of a refresh token, also of a used one. None for an unknown token, or an ended session."""
        tokens = select(RefreshToken.session_id).where(RefreshToken.digest == digest)
        return await self.session.scalar(select(UserSession).where(UserSession.id.in_(tokens), *_active()))

    async def get_active(self, session_id: int) -> UserSession | None:
        """Return the session, or None if it has ended."""
        return await self.session.scalar(select(UserSession).where(UserSession.id == session_id, *_active()))

    async def ended_since(self, age: timedelta) -> Iterable[int]:
        """Return the ids of the sessions that ended within `age`."""
        found = select(UserSession.id).where(UserSession.ended_at > func.now() - age)
        return (await self.session.scalars(found)).all()

    async def note_use(self: "SessionRepository[WriteSession]", session_id: int) -> bool:
        """Lock the session, and set the time of the last use. Return False for a session that has ended."""
        used = update(UserSession).where(UserSession.id == session_id, *_active()).values(last_used_at=func.now())
        return await self.session.scalar(used.returning(UserSession.id)) is not None

    async def end(
        self: "SessionRepository[WriteSession]", *, user_id: int, session_id: int | None = None, kept: int | None = None
    ) -> int:
        """End one session of a user, or all but `kept`. Return the number of ended sessions."""
        ended = update(UserSession).where(UserSession.user_id == user_id, *_active()).values(ended_at=func.now())
        if session_id is not None:
            ended = ended.where(UserSession.id == session_id)
        if kept is not None:
            ended = ended.where(UserSession.id != kept)
        return len((await self.session.scalars(ended.returning(UserSession.id))).all())

    async def delete_of_user(self: "SessionRepository[WriteSession]", user_id: int) -> None:
        """Delete all sessions of a user with their refresh tokens."""
        await self.session.execute(delete(UserSession).where(UserSession.user_id == user_id))

    async def delete_expired(self: "SessionRepository[WriteSession]", user_id: int | None = None) -> int:
        """Delete expired and ended sessions of one user, or of all users and deleted ones. Return their number."""
        if user_id is None:
            await self.session.execute(delete(DeletedUser).where(DeletedUser.deleted_at < func.now() - KEPT_AFTER_END))
        is_over = or_(UserSession.expires_at < func.now(), UserSession.ended_at < func.now() - KEPT_AFTER_END)
        expired = delete(UserSession).where(is_over).returning(UserSession.id)
        if user_id is not None:
            expired = expired.where(UserSession.user_id == user_id)
        return len((await self.session.scalars(expired)).all())


class RefreshTokenRepository(BaseRepository[RefreshToken, WriteSession]):
    model = RefreshToken

    async def use(self, digest: str) -> bool:
        """Mark a token as used. Return False for a used or unknown token.

        One statement finds and marks the token, so that only one of two concurrent requests succeeds.
        """
        fresh = (RefreshToken.digest == digest) & RefreshToken.used_at.is_(None)
        used = update(RefreshToken).where(fresh).values(used_at=func.now()).returning(RefreshToken.id)
        return await self.session.scalar(used) is not None

    async def was_used(self, digest: str) -> bool:
        """Return whether a token was used before REUSE_GRACE."""
        used = (RefreshToken.digest == digest) & (RefreshToken.used_at < func.now() - REUSE_GRACE)
        return await self.session.scalar(select(RefreshToken.id).where(used)) is not None

    async def delete_oldest_used(self, session_id: int) -> None:
        """Delete used tokens of a session, except the last MAX_USED_TOKENS."""
        used = (RefreshToken.session_id == session_id) & RefreshToken.used_at.is_not(None)
        oldest = select(RefreshToken.id).where(used).order_by(RefreshToken.id.desc()).offset(MAX_USED_TOKENS)
        await self.session.execute(delete(RefreshToken).where(RefreshToken.id.in_(oldest)))


def _active() -> tuple[ColumnElement[bool], ...]:
    return UserSession.ended_at.is_(None), UserSession.expires_at > func.now()
