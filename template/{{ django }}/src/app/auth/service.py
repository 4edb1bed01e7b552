"""Handing out tokens."""

import uuid
from datetime import UTC, datetime, timedelta

from django.db.models.functions import Now
from structlog.contextvars import bind_contextvars

from app.auth.models import RefreshToken
from app.auth.schemas import TokenResponse
from app.security import LocalTokens, digest, new_token
from app.users import Account, UserService


class AuthService:
    """Log-ins, within the request's unit of work."""

    def __init__(self, tokens: LocalTokens, refresh_days: int) -> None:
        self.users = UserService()
        self.tokens = tokens
        self.lifetime = timedelta(days=refresh_days)

    def log_in(self, account: Account) -> TokenResponse:
        """Tokens for whoever has shown the password of this account."""
        RefreshToken.objects.filter(user_id=account.user_id, expires_at__lt=Now()).delete()
        return self._issue(account, uuid.uuid4(), datetime.now(UTC) + self.lifetime)

    def refresh(self, token: str) -> TokenResponse | None:
        """New tokens for a refresh token. One that was used before ends its whole family: somebody stole it."""
        known = RefreshToken.objects.filter(digest=digest(token))
        # One statement uses it up, so that of two requests at once only one succeeds.
        if not known.filter(used_at=None, expires_at__gt=Now()).update(used_at=Now()):
            if (reused := known.filter(used_at__isnull=False).first()) is not None:
                _end(reused.family)
            return None
        used = known.get()
        account = self.users.account(used.user_id)
        # The family ends when its log-in would have: being used does not make it live longer.
        return self._issue(account, used.family, used.expires_at) if account else None

    def _issue(self, account: Account, family: uuid.UUID, ends: datetime) -> TokenResponse:
        bind_contextvars(user=str(account.user_id))
        refresh_token = new_token()
        RefreshToken.objects.create(
            user_id=account.user_id,
            family=family,
            digest=digest(refresh_token),
            expires_at=ends,
        )
        return TokenResponse(
            access_token=self.tokens.issue(str(account.user_id), account.scopes),
            expires_in=int(self.tokens.lifetime.total_seconds()),
            refresh_token=refresh_token,
        )


def _end(family: uuid.UUID) -> None:
    # A refresh that is under way holds the token that it uses up. Its new one is seen once that is over.
    while RefreshToken.objects.filter(family=family).delete()[0]:
        pass
