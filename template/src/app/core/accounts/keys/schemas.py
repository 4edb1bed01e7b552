"""Schemas and limits of API keys."""

from collections.abc import Iterable, Set
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field

from app.core.accounts.auth.roles import Scope
from app.core.problems import Forbidden
from app.core.schemas import BaseSchema, ListQuery, sort_by
from app.core.types import ShortText, UtcDatetime

MAX_KEYS = 20
"""Keys that one user may have. A new key deletes the expired ones."""

USE_INTERVAL = timedelta(minutes=1)
"""Minimum time between two changes of the last use of a key: not every request writes."""


class TooManyKeys(Forbidden):
    type = "urn:problem-type:too-many-api-keys"
    detail = f"You have {MAX_KEYS} API keys, which is the maximum. Delete one first."


def validate_future(value: datetime) -> datetime:
    """Return `value`. Raise ValueError for a time that has passed."""
    if value <= datetime.now(UTC):
        raise ValueError("must be in the future")
    return value


class ApiKeyCreate(BaseSchema):
    """Request to create an API key. Its scopes must be scopes of the caller."""

    name: ShortText = Field(description="such as the program that uses the key")
    scopes: Annotated[list[Annotated[Scope, Field(max_length=150)]], Field(max_length=100, examples=[[]])] = []
    expires_at: Annotated[UtcDatetime, AfterValidator(validate_future)] | None = Field(
        default=None, examples=["2100-01-01T00:00:00Z"], description="without it, the key does not expire"
    )

    def require_held(self, held: Set[str]) -> None:
        """Raise Forbidden for a scope that is not held."""
        for scope in self.scopes:
            if scope not in held:
                raise Forbidden(f"Your roles do not give the scope '{scope}'.")


class ApiKeyDetails(BaseSchema):
    """An API key, without its text."""

    id: int
    name: str
    scopes: list[str] = Field(description="scopes that the owner has lost have no effect")
    created_at: AwareDatetime
    last_used_at: AwareDatetime | None = Field(description="exact to a minute")
    expires_at: AwareDatetime | None


class ApiKeyCreated(ApiKeyDetails):
    """A new API key."""

    key: str = Field(description="the token for the header Authorization; shown only once")


class ApiKeyQuery(ListQuery):
    """Sort order of API keys."""

    sort: str = sort_by("id", "name", "created_at", "last_used_at", default="-id")


def effective_scopes(scopes: Iterable[str], held: Set[str]) -> frozenset[str]:
    """Return those scopes of a key that its owner holds now."""
    return frozenset(scopes).intersection(held)


def needs_note(last_used_at: datetime | None) -> bool:
    """Return whether the last use of a key must be written again."""
    return last_used_at is None or last_used_at < datetime.now(UTC) - USE_INTERVAL
