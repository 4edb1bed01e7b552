"""The authentication service: issuing and refreshing tokens."""

import uuid
from datetime import UTC, datetime, timedelta

from structlog.contextvars import bind_contextvars

from app.core.accounts.models import User
from app.core.accounts.repository import RefreshTokenRepository, UserRepository
from app.core.accounts.schemas import TokenResponse
from app.core.accounts.service import logged_in
from app.core.security.tokens import LocalTokens, digest, new_token
from app.core.security.users import CurrentUser


class AuthService:
    """Issues tokens, within the transaction of the request."""

    def __init__(self, tokens: LocalTokens, refresh_days: int) -> None:
        self.users = UserRepository()
        self.refresh_tokens = RefreshTokenRepository()
        self.tokens = tokens
        self.lifetime = timedelta(days=refresh_days)

    def log_in(self, user: User) -> TokenResponse | None:
        """Return tokens for a user whose password was verified. None if the account has changed since then."""
        if not self.users.record_log_in(user):
            return None
        self.refresh_tokens.delete_expired(user.id)
        return self._issue(logged_in(user), uuid.uuid4(), datetime.now(UTC) + self.lifetime)

    def refresh(self, token: str) -> TokenResponse | None:
        """Return new tokens for a refresh token. Reuse of a used token revokes its family (RFC 9700, section 4.14)."""
        # First lock the user: a concurrent demotion locks this row too, and the new token must have the new rights.
        owner = self.refresh_tokens.owner(digest(token))
        user = self.users.get_for_update(owner) if owner is not None else None
        used = self.refresh_tokens.use(digest(token))
        if used is None:
            if family := self.refresh_tokens.family_of_used(digest(token)):
                self.refresh_tokens.delete_family(family)
            return None
        if user is None or not user.is_active:
            return None
        self.refresh_tokens.delete_oldest_used(used.family)
        # Keep the expiry of the family: a refresh must not extend the session.
        return self._issue(logged_in(user), used.family, used.expires_at)

    def _issue(self, user: CurrentUser, family: uuid.UUID, ends: datetime) -> TokenResponse:
        bind_contextvars(user=str(user.id))
        refresh_token = new_token()
        self.refresh_tokens.create(
            {"user_id": user.id, "family": family, "digest": digest(refresh_token), "expires_at": ends}
        )
        return TokenResponse(
            access_token=self.tokens.issue(str(user.id), user.scopes),
            expires_in=int(self.tokens.lifetime.total_seconds()),
            refresh_token=refresh_token,
        )
