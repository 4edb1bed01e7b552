"""E-mailed tokens in the database."""

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select, update

from app.core.accounts.auth.models import EmailToken
from app.core.database.repository import BaseRepository
from app.core.database.sessions import ReadSession, WriteSession
from app.core.security.tokens import digest, new_token

PASSWORD_RESET = "password reset"  # noqa: S105 -- a purpose, not a password
REGISTRATION = "registration"
NEW_ADDRESS = "new address"

MAX_DELETED = 100
"""Maximum number of expired tokens that one log-in, or one request that sends a token, deletes."""


class EmailTokenRepository[Session: ReadSession](BaseRepository[EmailToken, Session]):
    model = EmailToken

    async def issue(
        self: "EmailTokenRepository[WriteSession]", purpose: str, email: str, lifetime: timedelta, **fields: Any
    ) -> str:
        """Store the hash of a new token for this address, and return the token. Deletes expired tokens."""
        await self.delete_expired()
        token = new_token()
        stored = {"purpose": purpose, "email": email, "digest": digest(token), "expires_at": func.now() + lifetime}
        await self.create(stored | fields)
        return token

    async def find(self, purpose: str, token: str) -> EmailToken | None:
        """Return the row of a valid token, or None."""
        return await self.session.scalar(select(EmailToken).where(*_valid(purpose, token)))

    async def use(self: "EmailTokenRepository[WriteSession]", purpose: str, token: str) -> EmailToken | None:
        """Delete a valid token, and return its row. Only one of two concurrent requests succeeds."""
        used = delete(EmailToken).where(*_valid(purpose, token)).returning(EmailToken)
        return await self.session.scalar(used)

    async def lock_registrations(self: "EmailTokenRepository[WriteSession]", email: str) -> None:
        """Lock the registrations of this address, always in the same order, against deadlocks."""
        locked = select(EmailToken.id).where(*_registrations(email)).order_by(EmailToken.id).with_for_update()
        await self.session.execute(locked)

    async def delete_registrations(self: "EmailTokenRepository[WriteSession]", email: str) -> None:
        """Delete the registrations of this address, with their passwords."""
        await self.session.execute(delete(EmailToken).where(*_registrations(email)))

    async def pending(self, email: str) -> list[EmailToken]:
        """Return the valid tokens that verify this address, ignoring case."""
        is_same = (func.lower(EmailToken.email) == func.lower(email)) & EmailToken.purpose.in_(
            (REGISTRATION, NEW_ADDRESS)
        )
        found = select(EmailToken).where(is_same, EmailToken.expires_at > func.now())
        return list(await self.session.scalars(found))

    async def renew(self: "EmailTokenRepository[WriteSession]", stored: EmailToken, lifetime: timedelta) -> str:
        """Replace a token by a new one, and return the new token."""
        token = new_token()
        values = {"digest": digest(token), "expires_at": func.now() + lifetime}
        await self.session.execute(update(EmailToken).where(EmailToken.id == stored.id).values(values))
        return token

    async def delete_expired(self: "EmailTokenRepository[WriteSession]") -> int:
        """Delete at most MAX_DELETED expired tokens of all addresses. Return their number."""
        expired = select(EmailToken.id).where(EmailToken.expires_at < func.now()).order_by(EmailToken.expires_at)
        # A plan may run a subquery again for each row, which ignores its limit. A CTE runs once.
        chosen = expired.limit(MAX_DELETED).with_for_update(skip_locked=True).cte()
        deleted = delete(EmailToken).where(EmailToken.id == chosen.c.id).returning(EmailToken.id)
        return len((await self.session.scalars(deleted)).all())

    async def delete_of_user(
        self: "EmailTokenRepository[WriteSession]", user_id: int, purpose: str | None = None
    ) -> None:
        """Delete the tokens of a user for one purpose, or all."""
        unwanted = delete(EmailToken).where(EmailToken.user_id == user_id)
        if purpose is not None:
            unwanted = unwanted.where(EmailToken.purpose == purpose)
        await self.session.execute(unwanted)


def _registrations(email: str) -> tuple[Any, ...]:
    return func.lower(EmailToken.email) == func.lower(email), EmailToken.purpose == REGISTRATION


def _valid(purpose: str, token: str) -> tuple[Any, ...]:
    is_same = EmailToken.digest == digest(token)
    return is_same, EmailToken.purpose == purpose, EmailToken.expires_at > func.now()
