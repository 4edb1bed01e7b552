"""Logging in with a password, and staying so with a refresh token."""

from typing import TYPE_CHECKING

from app.lazy import lazily

if TYPE_CHECKING:
    from app.auth.models import RefreshToken
else:
    __getattr__ = lazily(__name__, "models")

__all__ = ["RefreshToken"]
