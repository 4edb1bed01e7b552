"""The authentication service: verifying passwords, issuing and refreshing tokens, ending sessions."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial

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
from app.core.accounts.service import UserService, logged_in
from app.core.database.engine import Database
from app.core.database.on_commit import on_commit
from app.core.database.sessions import WriteSession
from app.core.problems import Unauthorized
from app.core.security.passwords import hash_password, in_turn, verify_password
from app.core.security.tokens import LocalTokens, digest, new_token, revision_of
from app.core.security.users import CurrentUser


class AuthService:
    """Issues tokens, within the transaction of `session`."""

    def __init__(self, session: WriteSession, tokens: LocalTokens, refresh_days: int) -> None:
        self.users = UserRepository(session)
        self.sessions = SessionRepository(session)
        self.refresh_tokens = RefreshTokenRepository(session)
        self.email_tokens = EmailTokenRepository(session)
        self.tokens = tokens
        self.lifetime = timedelta(days=refresh_days)

    async def log_in(self, user: User, origin: Origin) -> TokenResponse | None:
        """Return tokens for a user with a verified password. None if the account changed after the verification."""
        if not await self.users.note_log_in(user):
            return None
        await self.sessions.delete_expired(user.id)
        await self.email_tokens.delete_expired()
        ends = datetime.now(UTC) + self.lifetime
        session = await self.sessions.create({"user_id": user.id, "expires_at": ends, **origin._asdict()})
        event = "admin log-in" if user.is_superuser else "log-in"
        on_commit(self.users.session, partial(note, event, user.id, session=session.id))
        return await self._issue(user, session)

    async def refresh(self, token: str) -> TokenResponse | None:
        """Return new tokens for a refresh token, or None. Reuse of a used token ends its session.

        See RFC 9700, section 4.14. A second use within REUSE_GRACE is refused without ending the session.
        """
        session = await self.sessions.find_by_token(digest(token))
        if session is None:
            return None
        # First lock the user: a concurrent demotion locks this row too, and the new token must have the new rights.
        user = await self.users.lock(session.user_id)
        if user is None or not user.is_active:
            return None
        if not await self.refresh_tokens.use(digest(token)):
            if await self.refresh_tokens.was_used(digest(token)):
                await self.sessions.end(user_id=user.id, session_id=session.id)
                note("refresh token reused", user.id, session=session.id)
            return None
        if not await self.sessions.note_use(session.id):  # ended by a concurrent request
            return None
        await self.refresh_tokens.delete_oldest_used(session.id)
        return await self._issue(user, session)

    async def revoke(self, token: str) -> None:
        """End the session of a refresh token or access token. Does nothing for an unknown token (RFC 7009, 2.2)."""
        if session := await self.sessions.find_by_token(digest(token)):
            await self._log_out(session.user_id, session.id)
            return
        try:
            verified = self.tokens.verify(token)
        except Unauthorized:
            return
        if verified.session_id is not None:
            await self._log_out(int(verified.subject), verified.session_id)

    async def _log_out(self, user_id: int, session_id: int) -> None:
        if await self.sessions.end(user_id=user_id, session_id=session_id):
            on_commit(self.users.session, partial(note, "session ended", user_id, session=session_id))

    async def _issue(self, user: User, session: UserSession) -> TokenResponse:
        bind_contextvars(user=str(user.id))
        refresh_token = new_token()
        await self.refresh_tokens.create({"session_id": session.id, "digest": digest(refresh_token)})
        scopes = logged_in(user).scopes
        return TokenResponse(
            access_token=access_token(self.tokens, user, scopes, session),
            expires_in=int(self.tokens.lifetime_until(session.expires_at).total_seconds()),
            refresh_token=refresh_token,
            scope=" ".join(sorted(scopes)),
        )


def access_token(tokens: LocalTokens, user: User, scopes: Iterable[str], session: UserSession | None) -> str:
    """Return an access token. Read `user` before `scopes`, so that a later change of the rights revokes the token."""
    place = (session.id, session.expires_at) if session else (None, None)
    return tokens.issue(str(user.id), scopes, place[0], ends=place[1], revision=revision_of(user.revoked_at))


async def authenticate(database: Database, email: str, password: Secret[str]) -> User | None:
    """Return the active user with this address if the password matches. Equally slow for an unknown address.

    Hashing holds no database connection: a burst of log-ins would use up the pool.
    """
    async with database.read_sessions() as session:
        user = await UserRepository(session).get_by_email(email)
    hashed = user.password if user and user.is_active else None
    if await in_turn(verify_password, password.get_secret_value(), hashed):
        return user
    note("log-in failed", user.id if user else None)
    return None


async def verified_hash(database: Database, user_id: int, password: Secret[str]) -> str | None:
    """Return the password hash of an active user, or None if the password is wrong.

    Raise Unauthorized for a caller who was deactivated or deleted.

    Hashing holds no database connection, as in `authenticate`.
    """
    async with database.read_sessions() as session:
        user = await UserRepository(session).get(user_id)
    if user is None or not user.is_active:
        raise Unauthorized
    known = user.password
    return known if await in_turn(verify_password, password.get_secret_value(), known) else None


async def change_password(database: Database, caller: CurrentUser, data: PasswordChange) -> bool:
    """Set a new password, and end all other sessions. Return False if the current password is wrong."""
    known = await verified_hash(database, caller.id, data.current)
    if known is None:
        return False
    hashed = await in_turn(hash_password, data.new.get_secret_value())
    async with database.sessions.begin() as session:
        service = UserService(session)
        locked = await service.users.lock(caller.id)
        if locked is None or locked.password != known:  # changed by another request
            return False
        await service.set_password(locked, hashed, kept_session=caller.session_id)
    return True
