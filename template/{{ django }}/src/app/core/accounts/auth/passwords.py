"""Django's password hasher and validator, with the rules of the API."""

from typing import Any

import pydantic
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.core.exceptions import ValidationError
from pydantic import TypeAdapter

from app.core.config import Settings
from app.core.security.passwords import NewPassword, hash_password, verify_password

_NEW_PASSWORD: TypeAdapter[Any] = TypeAdapter(NewPassword)


class QueuedArgon2Hasher(Argon2PasswordHasher):
    """Stores hashes in Django's format. Uses core's functions, which limit the concurrent hashes."""

    algorithm = "argon2"

    def encode(self, password: str, salt: str) -> str:
        return self.algorithm + hash_password(password)  # generates its own salt

    def verify(self, password: str, encoded: str) -> bool:
        return verify_password(password, encoded.removeprefix(self.algorithm))

    def must_update(self, encoded: str) -> bool:
        return False  # the hash parameters of core differ from Django's: Django would rehash at each log-in


class PasswordPolicy:
    """A validator for Django that applies the password rules of the API."""

    def validate(self, password: str, user: object = None) -> None:
        try:
            _NEW_PASSWORD.validate_python(password)
        except pydantic.ValidationError as error:
            messages = [found["msg"].removeprefix("Value error, ") for found in error.errors()]
            raise ValidationError(messages) from None

    def get_help_text(self) -> str:
        shortest = Settings.current().password_min_length
        return f"The password must have {shortest} to 128 characters, and must not be one of the most common passwords."
