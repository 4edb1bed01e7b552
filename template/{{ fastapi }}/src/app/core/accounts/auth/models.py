"""The tables of sessions, of their refresh tokens, of e-mailed tokens, and of API keys."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKey, Identity, Index, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.base import Base


class UserSession(Base):
    """A log-in, with the place that it came from.

    It ends at `expires_at`, or at `ended_at` after a log-out or the reuse of a refresh token. An ended session stays
    until its access tokens have expired.
    """

    __tablename__ = "user_sessions"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    last_used_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    address: Mapped[str] = mapped_column(Text)
    user_agent: Mapped[str] = mapped_column(Text)

    __table_args__ = (
        CheckConstraint("char_length(address) <= 200 AND char_length(user_agent) <= 200", name="origin_length"),
        Index(None, "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
    )


class RefreshToken(Base):
    """The hash of a refresh token. All tokens of one session form a family."""

    __tablename__ = "refresh_tokens"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("user_sessions.id", ondelete="CASCADE"), index=True)
    digest: Mapped[str] = mapped_column(Text, unique=True)
    used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (CheckConstraint("char_length(digest) = 64", name="digest_is_sha256"),)


class EmailToken(Base):
    """The hash of a token that was sent to an address. It is deleted when it is used.

    A registration also has the name and the password hash: the user does not exist before the address is verified.
    """

    __tablename__ = "email_tokens"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    purpose: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(Text, unique=True)
    email: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    invitation_id: Mapped[int | None] = mapped_column(ForeignKey("invitations.id", ondelete="CASCADE"), index=True)
    name: Mapped[str | None] = mapped_column(Text)
    password: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (CheckConstraint("char_length(digest) = 64", name="digest_is_sha256"),)


class Invitation(Base):
    """The hash of a token that allows one registration. It is deleted when it is used."""

    __tablename__ = "invitations"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    digest: Mapped[str] = mapped_column(Text, unique=True)
    email: Mapped[str | None] = mapped_column(Text)
    roles: Mapped[list[str]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)

    __table_args__ = (CheckConstraint("char_length(digest) = 64", name="digest_is_sha256"),)


class ApiKey(Base):
    """The hash of an API key, with the scopes that its owner gave it."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(Text, unique=True)
    scopes: Mapped[list[str]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        CheckConstraint("char_length(digest) = 64", name="digest_is_sha256"),
        CheckConstraint("char_length(name) <= 200", name="name_length"),
    )


class DeletedUser(Base):
    """The id of a deleted user. Access tokens that name this user are refused until they expire."""

    __tablename__ = "deleted_users"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    deleted_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), index=True)
