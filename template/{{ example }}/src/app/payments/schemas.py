"""What the payment provider sends and gets."""

from typing import Annotated

from pydantic import Field, StringConstraints

from app.core import BaseSchema, BodyId, ShortText

EventId = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,255}$")]
"""What the provider calls an event, the same each time it is delivered."""


class PaymentEvent(BaseSchema):
    """Something happened to the payment of an order."""

    id: EventId
    order_id: BodyId
    status: ShortText
    data: ShortText | None = Field(default=None, description="with `ok`: what the provider calls the payment")
    message: ShortText | None = Field(default=None, description="with `error`: what went wrong")

    @property
    def is_success(self) -> bool:
        return self.status == "ok" and self.data is not None


class EventResponse(BaseSchema):
    """What was understood."""

    message: str
