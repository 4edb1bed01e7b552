"""Logging in to the administration."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest
from pydantic import Secret

from app.rate_limits import caller
from app.users.models import User
from app.users.repository import UserRepository
from app.users.service import authenticate


class PasswordBackend(ModelBackend):
    """The same passwords and limits as of `POST /auth/token`; off like it where a provider keeps the accounts."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **_: Any
    ) -> User | None:
        if not isinstance(request, HttpRequest) or not username or not password:
            return None
        service = request.service  # type: ignore[attr-defined]
        if service.settings.jwt_issuer is not None:
            return None
        service.rate_limits.hit_log_in(caller(request), username)
        account = authenticate(username, Secret(password))
        return UserRepository().get(account.user_id) if account else None
