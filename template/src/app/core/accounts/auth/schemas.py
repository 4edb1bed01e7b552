"""Forms, responses and errors of the OAuth 2 endpoints (RFC 6749 and RFC 7009)."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, Self

from pydantic import ConfigDict, Field, model_validator

from app.core.accounts.schemas import SessionDetails
from app.core.problems import BadRequest, FieldError, Unprocessable
from app.core.schemas import BaseSchema, ListQuery, sort_by
from app.core.security.passwords import Password
from app.core.types import Line

GRANT_TYPES = ("password", "refresh_token")

FORM = "application/x-www-form-urlencoded"
"""The only media type of the endpoints (RFC 6749, section 3.2)."""

MAX_TOKEN_LENGTH = 4096
"""Longest token in a form. An access token is longer than a refresh token."""


class InvalidRequest(BadRequest):
    """A malformed request: a parameter is missing, repeated or invalid."""

    error = "invalid_request"
    detail = f"The body must be a form ({FORM}), and no parameter may be missing, repeated or invalid."

    @classmethod
    def of(cls, invalid: Unprocessable) -> Self:
        """Return this error, with the details of a validation error."""
        error = cls()
        error.errors, error.more_errors = invalid.errors, invalid.more_errors
        return error


class InvalidGrant(BadRequest):
    """A wrong password, or a refresh token that is not valid."""

    error = "invalid_grant"
    detail = "The refresh token is not valid."


class UnsupportedGrantType(BadRequest):
    error = "unsupported_grant_type"
    detail = f"grant_type must be one of: {', '.join(GRANT_TYPES)}."


def check_form(parameters: Iterable[tuple[str, Any]]) -> None:
    """Raise InvalidRequest for a repeated parameter, and UnsupportedGrantType for an unknown grant type."""
    sent = list(parameters)
    repeated = [name for name, times in Counter(name for name, _ in sent).items() if times > 1]
    if repeated:
        raise InvalidRequest.of(
            Unprocessable(*(FieldError(pointer=f"/body/{name}", message="must not be repeated") for name in repeated))
        )
    if dict(sent).get("grant_type") not in {None, "", *GRANT_TYPES}:
        raise UnsupportedGrantType


class OAuthForm(BaseSchema):
    """Base class of forms. Ignores unknown parameters; an empty parameter counts as missing (RFC 6749, 3.2)."""

    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def omit_empty(cls, parameters: Any) -> Any:
        return {name: value for name, value in parameters.items() if value != ""}


class TokenForm(OAuthForm):
    """Request for tokens (RFC 6749, sections 4.3.2 and 6). `username` is the e-mail address."""

    grant_type: Literal["password", "refresh_token"]
    username: Line = Field(default="", max_length=254, description="required for `password`")
    password: Password | None = Field(default_factory=lambda: None, description="required for `password`")
    refresh_token: str = Field(default="", max_length=MAX_TOKEN_LENGTH, description="required for `refresh_token`")

    @model_validator(mode="after")
    def require_parameters(self) -> Self:
        if self.grant_type == "refresh_token" and not self.refresh_token:
            raise ValueError("refresh_token is required")
        if self.grant_type == "password" and not (self.username and self.password):
            raise ValueError("username and password are required")
        return self


class RevocationForm(OAuthForm):
    """Request to end the session of a token (RFC 7009, section 2.1)."""

    token: str = Field(min_length=1, max_length=MAX_TOKEN_LENGTH, description="a refresh token or an access token")


class TokenResponse(BaseSchema):
    """Tokens (RFC 6749, section 5.1)."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 -- a type, not a token
    expires_in: int = Field(description="seconds until the access token expires")
    refresh_token: str = Field(description="valid for one use")
    scope: str = Field(description="scopes of the access token, separated by blanks")


class SessionResponse(SessionDetails):
    """A session of the caller."""

    is_current: bool = Field(default=False, description="whether the token of this request belongs to the session")


class SessionQuery(ListQuery):
    """Sort order of sessions."""

    sort: str = sort_by("id", "created_at", "last_used_at", default="-last_used_at")


class Origin(NamedTuple):
    """The place of a log-in."""

    address: str = ""
    user_agent: str = ""

    @classmethod
    def of(cls, address: str, user_agent: str) -> Self:
        """Return the place, with only those characters of the User-Agent header that a log or page can show."""
        return cls(address[:MAX_ORIGIN_LENGTH], "".join(filter(str.isprintable, user_agent))[:MAX_ORIGIN_LENGTH])


MAX_ORIGIN_LENGTH = 200
"""Characters of an address or a User-Agent header that a session keeps."""
