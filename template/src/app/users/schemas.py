"""What callers send and get about users."""

from pydantic import EmailStr, Field

from app.schemas import BaseSchema
from app.types import Identifier, Line, NewPassword, UtcDatetime


class UserCreate(BaseSchema):
    """Somebody registers."""

    name: Line
    email: EmailStr = Field(max_length=254)
    password: NewPassword


class UserResponse(BaseSchema):
    """A user, as that user and administrators see it."""

    id: Identifier
    name: str
    email: str
    is_admin: bool
    created_at: UtcDatetime


class ProvidedUser(BaseSchema):
    """A user whom the identity provider vouches for."""

    name: Line
    email: EmailStr = Field(max_length=254)
    subject: str = Field(min_length=1, max_length=255)
