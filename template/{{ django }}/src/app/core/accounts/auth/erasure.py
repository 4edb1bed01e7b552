"""Erasure of accounts by their users."""

from django.db import transaction
from pydantic import Secret

from app.core.accounts.auth.service import verified_user
from app.core.accounts.service import UserService
from app.core.security.users import CurrentUser


def erase_account(caller: CurrentUser, password: Secret[str] | None) -> bool:
    """Erase the user. Return False if the password is wrong. Raise LastAdmin for the only active admin.

    None as password means that the caller proved the identity otherwise.
    """
    verified = verified_user(caller.id, password) if password else None
    if password and verified is None:
        return False
    with transaction.atomic():
        service = UserService()
        user = service.users.get_for_update(caller.id)
        if user is None or not user.is_active or (verified and user.password != verified.password):  # changed meanwhile
            return False
        service.erase(user)
    return True
