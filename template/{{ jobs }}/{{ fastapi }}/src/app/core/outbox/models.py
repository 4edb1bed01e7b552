"""The table of messages that wait to be sent."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Identity, LargeBinary, func
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.base import Base


class OutgoingMessage(Base):
    """A message that waits to be sent.

    Its job holds the key only: the arguments of jobs are logged, and stay for days.
    """

    __tablename__ = "outgoing_messages"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
