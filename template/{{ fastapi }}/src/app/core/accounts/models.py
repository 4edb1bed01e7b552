"""The tables of users and of their roles."""

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    false,
    func,
    insert,
    text,
    true,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.accounts.auth.models import DeletedUser
from app.core.database.base import Base

user_roles = Table(
    "user_roles",
    Base.metadata,
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("role_id", ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True, index=True),
)


class Role(Base):
    """A role. `roles.py` of a slice defines its scopes."""

    __tablename__ = "roles"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(String(150), unique=True)


class User(Base):
    """An account. The user logs in with `password`, or is `subject` of the identity provider `issuer`.

    Access tokens that were issued before `revoked_at` are refused.
    Address and name may be missing: for a user of an identity provider, or an erased user.
    """

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    password: Mapped[str | None] = mapped_column(Text)
    last_login: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    is_superuser: Mapped[bool] = mapped_column(server_default=false())
    is_active: Mapped[bool] = mapped_column(server_default=true())
    name: Mapped[str] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)
    issuer: Mapped[str | None] = mapped_column(Text)
    subject: Mapped[str | None] = mapped_column(Text)
    date_joined: Mapped[datetime] = mapped_column("created_at", DateTime(timezone=True), server_default=func.now())
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), onupdate=lambda: datetime.now(UTC)
    )

    # `lazy="raise"`: queries load roles explicitly, against N+1 queries.
    roles: Mapped[list[Role]] = relationship(secondary=user_roles, order_by=Role.name, lazy="raise", viewonly=True)

    __table_args__ = (
        CheckConstraint("char_length(name) <= 200", name="name_length"),
        CheckConstraint("email LIKE '_%@_%' AND char_length(email) <= 254", name="email_form"),
        CheckConstraint("(issuer IS NULL) = (subject IS NULL)", name="issuer_and_subject"),
        UniqueConstraint("issuer", "subject"),
        Index(None, "revoked_at", postgresql_where=text("revoked_at IS NOT NULL")),
        Index("uq_users_email_lower", text("lower(email)"), unique=True),
    )

    @property
    def role_names(self) -> list[str]:
        return [role.name for role in self.roles]


@event.listens_for(User, "before_delete")
def _note_deletion(_mapper: object, connection: Connection, user: User) -> None:
    """Keep the id of the user: the row with the time of the revocation is deleted, too."""
    connection.execute(insert(DeletedUser).values(id=user.id, deleted_at=datetime.now(UTC)))
