"""Authentication backend for the admin and for pages of other apps."""

from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest
from pydantic import Secret

from app.core.accounts.auth.service import authenticate
from app.core.accounts.models import User
from app.core.accounts.schemas import as_registered
from app.core.http.limits.rates import client_address
from app.core.http.state import State


class PasswordBackend(ModelBackend):
    """Checks passwords and rate limits like `POST /auth/token`. Off when an identity provider manages the accounts."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **credentials: Any
    ) -> User | None:
        username = username or credentials.get(User.USERNAME_FIELD)
        state: State | None = getattr(request, "state", None)
        settings = state.settings if state else django_settings.CORE_SETTINGS
        if settings.jwt_issuer is not None or not username or not password:
            return None
        username = as_registered(username)  # spellings of one address count together
        if state and request:
            state.rate_limits.hit_log_in(client_address(request), as_registered(username))
        return authenticate(username, Secret(password))

    async def aauthenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **credentials: Any
    ) -> User | None:
        # Django's own method would bypass the rate limits.
        return await sync_to_async(self.authenticate)(request, username, password, **credentials)
