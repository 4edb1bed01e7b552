"""The table of the payment provider's events."""

from datetime import datetime

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from app.core import Base


class Event(Base):
    """An event, as first delivered. The primary key is the provider's id of the event."""

    __tablename__ = "payment_events"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="RESTRICT"), index=True)
    status: Mapped[str] = mapped_column(Text)
    data: Mapped[str | None] = mapped_column(Text)
    message: Mapped[str | None] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    __table_args__ = (
        CheckConstraint("char_length(id) BETWEEN 1 AND 255", name="id_length"),
        CheckConstraint("char_length(status) BETWEEN 1 AND 200", name="status_length"),
        CheckConstraint("char_length(data) BETWEEN 1 AND 200", name="data_length"),
        CheckConstraint("char_length(message) BETWEEN 1 AND 200", name="message_length"),
    )
