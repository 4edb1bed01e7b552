"""Reset of a forgotten password by e-mail."""

from datetime import timedelta

from django.contrib.auth.hashers import make_password
from django.db import transaction

from app.core.accounts.auth.models import PASSWORD_RESET
from app.core.accounts.email.tokens import EmailTokenRepository
from app.core.accounts.repository import UserRepository
from app.core.accounts.schemas import PasswordReset
from app.core.database.transactions import give_back
from app.core.mail import send
from app.core.mail.texts import write_token_message

LIFETIME = timedelta(minutes=30)


def send_reset(email: str) -> None:
    """Send a token to the active user with this address. Does nothing for another address."""
    user = UserRepository().get_by_email(email)
    if user is None or not user.is_active or user.email is None:
        return
    token = EmailTokenRepository().issue(PASSWORD_RESET, user.email, LIFETIME, user_id=user.id)
    minutes = str(int(LIFETIME.total_seconds() // 60))
    name = user.name or user.email
    message = write_token_message("password_reset", "password-reset", token, name=name, minutes=minutes)
    send(user.email, **message._asdict(), name=user.name)


def reset_password(data: PasswordReset) -> bool:
    """Set the password, and end all sessions. Return False unless the token is valid.

    Hashing holds no database connection, as in `authenticate`.
    """
    found = EmailTokenRepository().find(PASSWORD_RESET, data.token)
    if found is None or found.user_id is None:
        return False
    give_back()
    hashed = make_password(data.password.get_secret_value())
    with transaction.atomic():
        user = UserRepository().get_for_update(found.user_id)  # first, as other requests do: a deadlock otherwise
        used = EmailTokenRepository().use(PASSWORD_RESET, data.token)
        if used is None or user is None or not user.is_active or user.email != used.email:
            return False
        UserRepository().update(user, {"password": hashed})
        user.end_sessions()
        user.report_new_password()
    return True
