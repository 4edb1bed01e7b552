"""Schemas of users."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    ConfigDict,
    EmailStr,
    Field,
    StrictBool,
    TypeAdapter,
    ValidationError,
)

from app.core.accounts.auth.roles import Role, declared_roles
from app.core.accounts.keys.schemas import ApiKeyDetails
from app.core.problems import FieldError, Forbidden, Unprocessable
from app.core.schemas import UNCHANGED, BaseSchema, ListQuery, sort_by
from app.core.security.passwords import NewPassword, Password
from app.core.slices import SliceError, owner_of
from app.core.types import ShortText, validate_visible

EmailAddress = Annotated[EmailStr, Field(max_length=254), AfterValidator(validate_visible)]
"""An e-mail address. Pydantic stores it in NFC, with the domain in lower case (RFC 6532, section 3.1)."""

OneTimeToken = Annotated[str, Field(min_length=1, max_length=200)]
"""A token that was sent by e-mail."""


class InvalidToken(Unprocessable):
    """The e-mailed token is unknown, used or expired."""

    def __init__(self) -> None:
        super().__init__(FieldError(pointer="/body/token", message="is not valid, or has expired"))


class RegistrationClosed(Forbidden):
    detail = "Registration is closed. Ask the operators of this service for an account."


class UserCreate(BaseSchema):
    """Request to register a user."""

    name: ShortText
    email: EmailAddress
    password: NewPassword
    invitation: Annotated[OneTimeToken, Field(description="token of an invitation")] = UNCHANGED


class UserUpdate(BaseSchema):
    """Request of users to change their own account. Missing fields do not change."""

    name: ShortText = UNCHANGED
    email: EmailAddress = UNCHANGED

    def without_email(self) -> Self:
        """Return the request without the address."""
        return type(self).model_validate(self.model_dump(exclude_unset=True, exclude={"email"}))


def validate_roles(roles: list[str]) -> list[str]:
    """Return the roles without repetition. Raise ValueError for a role that no slice declares."""
    if unknown := set(roles) - declared_roles().keys():
        known = ", ".join(sorted(declared_roles())) or "none"
        raise ValueError(f"unknown role {', '.join(sorted(unknown))}; the roles of this service: {known}")
    return sorted(set(roles))


Roles = Annotated[list[Role], Field(examples=[[]]), AfterValidator(validate_roles)]
"""Roles that slices declare."""


class UserRightsUpdate(BaseSchema):
    """Request of an admin to change a user. Missing fields do not change. `roles` replaces all roles."""

    is_active: StrictBool = UNCHANGED
    is_admin: StrictBool = UNCHANGED
    roles: Roles = UNCHANGED


class EmailRequest(BaseSchema):
    """Request to send a message to the owner of an account."""

    email: EmailAddress


class PasswordReset(BaseSchema):
    """Request to set a new password with an e-mailed token."""

    token: OneTimeToken
    password: NewPassword


class EmailVerification(BaseSchema):
    """Request to confirm an address with an e-mailed token."""

    token: OneTimeToken


class PasswordOnly(BaseSchema):
    """A new password, by the policy of the settings."""

    password: NewPassword


class PasswordChange(BaseSchema):
    """Request of users to change their own password."""

    current: Password
    new: NewPassword


class AccountErasure(BaseSchema):
    """Request of users to erase their own account. Without an identity provider, the password is required."""

    password: Password = UNCHANGED


class UserResponse(BaseSchema):
    """A user, as seen by that user and by admins."""

    id: int
    name: str
    email: str | None
    is_active: bool
    is_admin: bool = Field(validation_alias="is_superuser")
    created_at: AwareDatetime = Field(validation_alias="date_joined")
    updated_at: AwareDatetime


class UserDetails(UserResponse):
    """A user with the roles, as seen by admins."""

    roles: list[str] = Field(validation_alias="role_names")


class UserQuery(ListQuery):
    """Filters and sort order of users."""

    sort: str = sort_by("id", "name", "email", default="id")
    q: ShortText | None = Field(default=None, description="part of the name or of the address, ignoring case")
    is_active: bool | None = Field(default=None, description="`false` lists deactivated users")
    role: ShortText | None = Field(default=None, description="name of a role")


class SessionDetails(BaseSchema):
    """A log-in: when, from where, and the time of the last refresh."""

    id: int
    created_at: AwareDatetime
    last_used_at: AwareDatetime
    expires_at: AwareDatetime
    address: str = Field(description="address of the client; for IPv6, its /64 network")
    user_agent: str


class AccountExport(UserDetails):
    """All data of core about a user, except the password and the texts of tokens and keys."""

    issuer: str | None
    subject: str | None
    last_login: AwareDatetime | None
    sessions: list[SessionDetails] = []
    api_keys: list[ApiKeyDetails] = []


class PersonalData(BaseSchema):
    """All data about a user: of core, and of each slice under the name of the slice."""

    model_config = ConfigDict(extra="allow")

    account: AccountExport

    @classmethod
    def of(cls, account: AccountExport, answers: Iterable[tuple[Callable[..., Any], Any]]) -> Self:
        """Return the data of core with the answer of each listener to `exporting`.

        Raise SliceError when a slice has two listeners: the data of one would replace the data of the other.
        """
        exported: dict[str, Any] = {"account": account}
        for listener, data in answers:
            name = owner_of(listener)
            if name in exported:
                raise SliceError(
                    f"The slice '{name}' listens to `exporting` twice: return all of its data from one listener"
                )
            exported[name] = data
        return cls(**exported)


class ProvidedUser(BaseSchema):
    """A user of the identity provider. Issuer and subject identify the user; name and address may be missing."""

    model_config = ConfigDict(str_strip_whitespace=False)

    issuer: str
    subject: str
    name: str
    email: str | None

    @classmethod
    def of(cls, issuer: str, subject: str, claims: Mapping[str, Any]) -> Self:
        """Read the claims of a token (OpenID Connect Core 1.0, section 5.1).

        An address that the provider has not verified is dropped: another person may own it.
        """
        verified = claims.get("email_verified") is True
        return cls(
            issuer=issuer,
            subject=subject,
            name=_valid(ShortText, claims.get("name")) or "",
            email=_valid(EmailAddress, claims.get("email")) if verified else None,
        )


def as_registered(address: str) -> str:
    """Return the address as `POST /users` stores it. An invalid address stays unchanged, and matches no account."""
    return _valid(EmailAddress, address) or address


def checked[M: BaseSchema](kind: type[M], **values: object) -> M:
    """Return the schema with these values. Raise Unprocessable for invalid values, as if they were in the body."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise Unprocessable.from_pydantic({**one, "loc": ("body", *one["loc"])} for one in found) from None


def _valid(kind: Any, value: Any) -> str | None:
    try:
        return TypeAdapter[str](kind).validate_python(value)
    except ValidationError:
        return None
