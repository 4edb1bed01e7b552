"""The authentication service: verifying passwords, issuing and refreshing tokens, ending sessions."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial

from django.db import transaction
from pydantic import Secret
from structlog.contextvars import bind_contextvars

from app.core.accounts.auth.audit import note
from app.core.accounts.auth.models import UserSession
from app.core.accounts.auth.repository import RefreshTokenRepository, SessionRepository
from app.core.accounts.auth.schemas import Origin, TokenResponse
from app.core.accounts.email.tokens import EmailTokenRepository
from app.core.accounts.models import User
from app.core.accounts.repository import UserRepository
from app.core.accounts.schemas import PasswordChange
from app.core.accounts.service import logged_in
from app.core.database.transactions import give_back
from app.core.problems import Unauthorized
from app.core.security.passwords import verify_password
from app.core.security.tokens import LocalTokens, digest, new_token, revision_of
from app.core.security.users import CurrentUser


class AuthService:
    """Issues tokens, within the transaction of the request."""

    def __init__(self, tokens: LocalTokens, refresh_days: int) -> None:
        self.users = UserRepository()
        self.sessions = SessionRepository()
        self.refresh_tokens = RefreshTokenRepository()
        self.email_tokens = EmailTokenRepository()
        self.tokens = tokens
        self.lifetime = timedelta(days=refresh_days)

    def log_in(self, user: User, origin: Origin) -> TokenResponse | None:
        """Return tokens for a user with a verified password. None if the account changed after the verification."""
        if not self.users.record_log_in(user):
            return None
        self.sessions.delete_expired(user.id)
        self.email_tokens.delete_expired()
        ends = datetime.now(UTC) + self.lifetime
        session = self.sessions.create({"user_id": user.id, "expires_at": ends, **origin._asdict()})
        event = "admin log-in" if user.is_superuser else "log-in"
        transaction.on_commit(partial(note, event, user.pk, session=session.pk))
        return self._issue(user, session)

    def refresh(self, token: str) -> TokenResponse | None:
        """Return new tokens for a refresh token, or None. Reuse of a used token ends its session.

        See RFC 9700, section 4.14. A second use within REUSE_GRACE is refused without ending the session.
        """
        session = self.sessions.find_by_token(digest(token))
        if session is None:
            return None
        # First lock the user: a concurrent demotion locks this row too, and the new token must have the new rights.
        user = self.users.get_for_update(session.user_id)
        if user is None or not user.is_active:
            return None
        if not self.refresh_tokens.use(digest(token)):
            if self.refresh_tokens.was_used(digest(token)):
                self.sessions.end(user_id=user.id, session_id=session.id)
                note("refresh token reused", user.pk, session=session.pk)
            return None
        if not self.sessions.note_use(session.id):  # ended by a concurrent request
            return None
        self.refresh_tokens.delete_oldest_used(session.id)
        return self._issue(user, session)

    def revoke(self, token: str) -> None:
        """End the session of a refresh token or access token. Does nothing for an unknown token (RFC 7009, 2.2)."""
        if session := self.sessions.find_by_token(digest(token)):
            self._log_out(session.user_id, session.id)
            return
        try:
            verified = self.tokens.verify(token)
        except Unauthorized:
            return
        if verified.session_id is not None:
            self._log_out(int(verified.subject), verified.session_id)

    def _log_out(self, user_id: int, session_id: int) -> None:
        if self.sessions.end(user_id=user_id, session_id=session_id):
            transaction.on_commit(partial(note, "session ended", user_id, session=session_id))

    def _issue(self, user: User, session: UserSession) -> TokenResponse:
        bind_contextvars(user=str(user.id))
        refresh_token = new_token()
        self.refresh_tokens.create({"session_id": session.id, "digest": digest(refresh_token)})
        scopes = logged_in(user).scopes
        return TokenResponse(
            access_token=access_token(self.tokens, user, scopes, session),
            expires_in=int(self.tokens.lifetime_until(session.expires_at).total_seconds()),
            refresh_token=refresh_token,
            scope=" ".join(sorted(scopes)),
        )


def access_token(tokens: LocalTokens, user: User, scopes: Iterable[str], session: UserSession | None) -> str:
    """Return an access token. Read `user` before `scopes`, so that a later change of the rights revokes the token."""
    place = (session.pk, session.expires_at) if session else (None, None)
    return tokens.issue(str(user.id), scopes, place[0], ends=place[1], revision=revision_of(user.revoked_at))


def authenticate(email: str, password: Secret[str]) -> User | None:
    """Return the active user with this address if the password matches. Equally slow for an unknown address.

    Hashing holds no database connection: a burst of log-ins would use up the pool.
    """
    user = UserRepository().get_by_email(email)
    give_back()
    if user is None:
        verify_password(password.get_secret_value(), None)
    elif user.check_password(password.get_secret_value()) and user.is_active:
        return user
    note("log-in failed", user.pk if user else None)
    return None


def verified_user(user_id: int, password: Secret[str]) -> User | None:
    """Return the active user with this id, or None if the password is wrong.

    Raise Unauthorized for a caller who was deactivated or deleted.

    Hashing holds no database connection, as in `authenticate`.
    """
    user = UserRepository().get(user_id)
    give_back()
    if user is None or not user.is_active:
        raise Unauthorized
    return user if user.check_password(password.get_secret_value()) else None


def change_password(caller: CurrentUser, data: PasswordChange) -> bool:
    """Set a new password, and end all other sessions. Return False if the current password is wrong."""
    user = verified_user(caller.id, data.current)
    if user is None:
        return False
    known = user.password
    user.set_password(data.new.get_secret_value())
    user.kept_session = caller.session_id
    with transaction.atomic():
        locked = UserRepository().get_for_update(caller.id)
        if locked is None or locked.password != known:  # changed by another request
            return False
        UserRepository().update(user, {"password": user.password})
    return True
