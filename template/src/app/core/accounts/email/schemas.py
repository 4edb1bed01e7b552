"""Schemas of invitations."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field

from app.core.accounts.keys.schemas import validate_future
from app.core.accounts.schemas import EmailAddress, Roles
from app.core.problems import Forbidden
from app.core.schemas import BaseSchema, ListQuery, sort_by
from app.core.types import UtcDatetime

LIFETIME = timedelta(days=7)
"""Time after which an invitation without `expires_at` ends."""


class NotInvited(Forbidden):
    type = "urn:problem-type:not-invited"
    detail = "The registration needs an invitation that is valid for this e-mail address."


def default_end() -> datetime:
    """Return the end of an invitation that starts now."""
    return datetime.now(UTC) + LIFETIME


class InvitationCreate(BaseSchema):
    """Request to invite a user. With an address, the token is sent there; without, the response contains it."""

    email: EmailAddress | None = Field(default=None, description="only this address can register")
    roles: Roles = []
    expires_at: Annotated[UtcDatetime, AfterValidator(validate_future)] = Field(
        default_factory=default_end, examples=["2100-01-01T00:00:00Z"], description="default: in 7 days"
    )


class InvitationDetails(BaseSchema):
    """An invitation that was not accepted yet."""

    id: int
    email: str | None
    roles: list[str]
    created_at: AwareDatetime
    expires_at: AwareDatetime


class InvitationCreated(InvitationDetails):
    """A new invitation."""

    token: str | None = Field(description="valid once, shown only once; null if it was sent by e-mail")


class InvitationQuery(ListQuery):
    """Sort order of invitations."""

    sort: str = sort_by("id", "email", "created_at", "expires_at", default="-id")
