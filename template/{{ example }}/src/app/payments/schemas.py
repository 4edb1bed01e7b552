"""Schemas of payment events."""

from typing import Annotated

from pydantic import Field, StringConstraints

from app.core import BaseSchema, BodyId, ShortText

EventId = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,255}$")]
"""The provider's id of an event. A repeated delivery has the same id."""


class PaymentEvent(BaseSchema):
    """An event about the payment of an order."""

    id: EventId
    order_id: BodyId
    status: ShortText
    data: ShortText | None = Field(default=None, description="with `ok`: the provider's id of the payment")
    message: ShortText | None = Field(default=None, description="with `error`: the reason")

    @property
    def is_success(self) -> bool:
        return self.status == "ok" and self.data is not None


class EventResponse(BaseSchema):
    """Response to a payment event: how the service understood the event."""

    message: str
