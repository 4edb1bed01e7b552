"""Logging in with a password, and staying so with a refresh token."""

from app.auth.models import RefreshToken

__all__ = ["RefreshToken"]
