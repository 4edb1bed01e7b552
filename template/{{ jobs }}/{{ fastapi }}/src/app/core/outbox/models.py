"""The table of outgoing messages."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Identity, LargeBinary, func
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.base import Base


class OutgoingMessage(Base):
    """A message to send.

    Its job has only the id of the message, because arguments of jobs are logged, and are kept for days.
    """

    __tablename__ = "outgoing_messages"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
