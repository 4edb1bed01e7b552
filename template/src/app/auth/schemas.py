"""What callers send and get to log in and stay so."""

from typing import Literal

from pydantic import EmailStr, Field, SecretStr, TypeAdapter, ValidationError, field_validator

from app.schemas import BaseSchema
from app.types import PRINTABLE, Password

_ADDRESS: TypeAdapter[str] = TypeAdapter(EmailStr)


class TokenForm(BaseSchema):
    """The password form of OAuth 2 (RFC 6749, section 4.3.2). `username` is the e-mail address."""

    grant_type: Literal["password"] = "password"
    username: str = Field(max_length=254, pattern=PRINTABLE)
    password: Password
    scope: str = Field(default="", max_length=200, description="not used: a user's scopes are the service's to give")
    client_id: str = Field(default="", max_length=200, description="not used: there are no clients to tell apart")
    client_secret: SecretStr = Field(default=SecretStr(""), max_length=200, description="not used, like `client_id`")

    @field_validator("username")
    @classmethod
    def as_registered(cls, username: str) -> str:
        """The address in the form that it is kept in. What is no address is nobody's."""
        try:
            return _ADDRESS.validate_python(username)
        except ValidationError:
            return username


class RefreshRequest(BaseSchema):
    """A refresh token, for new tokens."""

    refresh_token: str = Field(min_length=1, max_length=200)


class TokenResponse(BaseSchema):
    """Tokens (RFC 6749, section 5.1)."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 -- a kind, not a token
    expires_in: int = Field(description="seconds until the access token ends")
    refresh_token: str = Field(description="good for one use")
