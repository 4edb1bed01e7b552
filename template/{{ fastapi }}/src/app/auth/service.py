"""Handing out tokens."""

import uuid
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.contextvars import bind_contextvars

from app.auth.models import RefreshToken
from app.auth.schemas import TokenResponse
from app.security import LocalTokens, digest, new_token
from app.users import Account, UserService


class AuthService:
    """Log-ins, within the unit of work that `session` is."""

    def __init__(self, session: AsyncSession, tokens: LocalTokens, refresh_days: int) -> None:
        self.session = session
        self.users = UserService(session)
        self.tokens = tokens
        self.lifetime = timedelta(days=refresh_days)

    async def log_in(self, account: Account) -> TokenResponse:
        """Tokens for whoever has shown the password of this account."""
        await self.session.execute(
            delete(RefreshToken).where(RefreshToken.user_id == account.user_id, RefreshToken.expires_at < func.now())
        )
        return await self._issue(account, uuid.uuid4(), datetime.now(UTC) + self.lifetime)

    async def refresh(self, token: str) -> TokenResponse | None:
        """New tokens for a refresh token. One that was used before ends its whole family: somebody stole it."""
        known = RefreshToken.digest == digest(token)
        fresh = known & RefreshToken.used_at.is_(None) & (RefreshToken.expires_at > func.now())
        # One statement finds and uses it up, so that of two requests at once only one succeeds.
        used = await self.session.scalar(
            update(RefreshToken).where(fresh).values(used_at=func.now()).returning(RefreshToken)
        )
        if used is None:
            if family := await self.session.scalar(
                select(RefreshToken.family).where(known, RefreshToken.used_at.is_not(None))
            ):
                await self._end(family)
            return None
        account = await self.users.account(used.user_id)
        # The family ends when its log-in would have: being used does not make it live longer.
        return await self._issue(account, used.family, used.expires_at) if account else None

    async def _end(self, family: uuid.UUID) -> None:
        deletion = delete(RefreshToken).where(RefreshToken.family == family).returning(RefreshToken.id)
        # A refresh that is under way holds the token that it uses up. Its new one is seen once that is over.
        while (await self.session.scalars(deletion)).all():
            pass

    async def _issue(self, account: Account, family: uuid.UUID, ends: datetime) -> TokenResponse:
        bind_contextvars(user=str(account.user_id))
        refresh_token = new_token()
        self.session.add(
            RefreshToken(
                user_id=account.user_id,
                family=family,
                digest=digest(refresh_token),
                expires_at=ends,
            )
        )
        return TokenResponse(
            access_token=self.tokens.issue(str(account.user_id), account.scopes),
            expires_in=int(self.tokens.lifetime.total_seconds()),
            refresh_token=refresh_token,
        )
