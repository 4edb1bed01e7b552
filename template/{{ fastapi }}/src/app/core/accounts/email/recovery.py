"""Reset of a forgotten password by e-mail."""

from datetime import timedelta

from app.core.accounts.email.tokens import PASSWORD_RESET, EmailTokenRepository
from app.core.accounts.repository import UserRepository
from app.core.accounts.schemas import PasswordReset
from app.core.accounts.service import UserService
from app.core.database.engine import Database
from app.core.database.sessions import WriteSession
from app.core.mail import send
from app.core.mail.texts import write_token_message
from app.core.security.passwords import hash_password, in_turn

LIFETIME = timedelta(minutes=30)


async def send_reset(session: WriteSession, email: str) -> None:
    """Send a token to the active user with this address. Does nothing for another address."""
    user = await UserRepository(session).get_by_email(email)
    if user is None or not user.is_active or user.email is None:
        return
    token = await EmailTokenRepository(session).issue(PASSWORD_RESET, user.email, LIFETIME, user_id=user.id)
    minutes = str(int(LIFETIME.total_seconds() // 60))
    name = user.name or user.email
    message = write_token_message("password_reset", "password-reset", token, name=name, minutes=minutes)
    await send(session, user.email, **message._asdict(), name=user.name)


async def reset_password(database: Database, data: PasswordReset) -> bool:
    """Set the password, and end all sessions. Return False unless the token is valid.

    Hashing holds no database connection, as in `authenticate`.
    """
    async with database.read_sessions() as session:
        found = await EmailTokenRepository(session).find(PASSWORD_RESET, data.token)
    if found is None or found.user_id is None:
        return False
    hashed = await in_turn(hash_password, data.password.get_secret_value())
    async with database.sessions.begin() as session:
        service = UserService(session)
        user = await service.users.lock(found.user_id)  # first, as other requests do: a deadlock otherwise
        used = await EmailTokenRepository(session).use(PASSWORD_RESET, data.token)
        if used is None or user is None or not user.is_active or user.email != used.email:
            return False
        await service.set_password(user, hashed)
    return True
