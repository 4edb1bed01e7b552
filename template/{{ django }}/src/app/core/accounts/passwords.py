"""Django's passwords, hashed and chosen as in the rest of the service."""

from typing import Any

import pydantic
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.core.exceptions import ValidationError
from pydantic import TypeAdapter

from app.core.security.passwords import NewPassword, hash_password, verify_password

_NEW_PASSWORD: TypeAdapter[Any] = TypeAdapter(NewPassword)


class QueuedArgon2Hasher(Argon2PasswordHasher):
    """Stores hashes in Django's form. Core makes and verifies them: its limit of concurrent hashes holds."""

    algorithm = "argon2"

    def encode(self, password: str, salt: str) -> str:
        return self.algorithm + hash_password(password)  # which makes a salt of its own

    def verify(self, password: str, encoded: str) -> bool:
        return verify_password(password, encoded.removeprefix(self.algorithm))

    def must_update(self, encoded: str) -> bool:
        return False  # Django's parameters are not those of core


class PasswordPolicy:
    """Django's validator of new passwords: they follow the rules of the API."""

    def validate(self, password: str, user: object = None) -> None:
        try:
            _NEW_PASSWORD.validate_python(password)
        except pydantic.ValidationError as error:
            messages = [found["msg"].removeprefix("Value error, ") for found in error.errors()]
            raise ValidationError(messages) from None

    def get_help_text(self) -> str:
        return "The password must have 8 to 128 characters, and must not be one of the most common passwords."
