"""Passwords: rules, hashing, verification."""

import secrets
from functools import cache
from pathlib import Path
from threading import BoundedSemaphore
from typing import Annotated, Any

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pydantic import AfterValidator, Secret, StringConstraints, WithJsonSchema

from app.core.config import Settings

MAX_CONCURRENT_HASHES = 4
"""Maximum concurrent Argon2 hashes; each needs 64 MiB and four threads. Further log-ins wait."""

_hashing = BoundedSemaphore(MAX_CONCURRENT_HASHES)


@cache
def _common_passwords() -> frozenset[str]:
    # The 3000 most common passwords of at least 8 characters, from the list of Django and SecLists (MIT).
    return frozenset((Path(__file__).parent / "common_passwords.txt").read_text("utf-8").split())


def validate_policy(password: str) -> str:
    """Return `password`. ValueError when it does not fit the settings (OWASP ASVS 5.0, 6.2.1, 6.2.4 and 6.2.11)."""
    settings = Settings.current()
    if len(password) < settings.password_min_length:
        raise ValueError(f"must have at least {settings.password_min_length} characters")
    if password.lower() in _common_passwords():
        raise ValueError("is one of the most common passwords")
    for word in settings.password_forbidden_words:
        if word.lower() in password.lower():
            raise ValueError(f"must not contain the word {word}")
    return password


class _Documented:
    """Describes a new password in the OpenAPI document, with the length of the settings."""

    def __get_pydantic_json_schema__(self, _schema: object, _handler: object) -> dict[str, Any]:
        shortest = Settings.current().password_min_length
        return {"type": "string", "format": "password", "minLength": shortest, "maxLength": 128, "writeOnly": True}


Password = Annotated[
    Secret[Annotated[str, StringConstraints(strip_whitespace=False, min_length=1, max_length=128)]],
    WithJsonSchema({"type": "string", "format": "password", "minLength": 1, "maxLength": 128, "writeOnly": True}),
]
"""A password. Leading and trailing blanks are kept. `repr` hides the value, so that passwords are not logged."""

NewPassword = Annotated[
    Secret[
        Annotated[
            str,
            StringConstraints(strip_whitespace=False, max_length=128),
            AfterValidator(validate_policy),
        ]
    ],
    _Documented(),
]
"""A new password: PASSWORD_MIN_LENGTH to 128 characters of any kind, and not one of the most common passwords."""


@cache
def _passwords() -> PasswordHash:
    return PasswordHash.recommended()


@cache
def _dummy_hash() -> str:
    return hash_password(secrets.token_urlsafe())


def hash_password(password: str) -> str:
    """Return the Argon2id hash of `password`. Takes tens of milliseconds of CPU time: call it in a thread."""
    with _hashing:
        return _passwords().hash(password)


def verify_password(password: str, hashed: str | None) -> bool:
    """Return whether `password` matches the hash. Without a hash, False after the same time. Call it in a thread.

    The constant time prevents user enumeration: a log-in takes equally long for unknown accounts.
    """
    known = hashed or _dummy_hash()
    try:
        with _hashing:
            matches = _passwords().verify(password, known)
    except UnknownHashError:
        return False
    return matches and hashed is not None
