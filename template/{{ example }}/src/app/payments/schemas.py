"""Schemas of payment events."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from app.core import BaseSchema, BodyId, DiscriminatedBy, ShortText

EventId = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,255}$")]
"""The provider's id of an event. A repeated delivery has the same id."""


class PaymentSucceeded(BaseSchema):
    """An order was paid."""

    order_id: BodyId
    status: Literal["ok"]
    data: ShortText = Field(description="the provider's id of the payment")


class PaymentFailed(BaseSchema):
    """An order could not be paid."""

    order_id: BodyId
    status: Literal["error"]
    message: ShortText = Field(description="the reason")


class PaymentPending(BaseSchema):
    """The payment of an order is not finished."""

    order_id: BodyId
    status: Literal["pending", "processing"]


PaymentEvent = Annotated[PaymentSucceeded | PaymentFailed | PaymentPending, DiscriminatedBy("status")]


class EventResponse(BaseSchema):
    """Response to a payment event: how the service understood the event."""

    message: str
