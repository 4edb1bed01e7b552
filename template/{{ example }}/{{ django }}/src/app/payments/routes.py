"""Routes of `/payments`."""

from types import MappingProxyType
from typing import Annotated

from django.db import transaction
from ninja import Body, Header, Router

from app.core import Request, problem_responses, verify_webhook
from app.payments.schemas import EventId, EventResponse, PaymentEvent
from app.payments.service import PaymentService
from app.payments.settings import Settings

public = Router(tags=["payments"])


class Signature:
    """Requires the payment provider's signature. Raises BadSignature otherwise."""

    name = "signature"
    model = MappingProxyType(
        {
            "type": "apiKey",
            "in": "header",
            "name": "webhook-signature",
            "description": "signature of `webhook-id`, `webhook-timestamp` and body, as in Standard Webhooks",
        }
    )

    def __call__(self, request: Request) -> bool:
        verify_webhook(Settings.current().payments_secret, request.headers, request.body)
        return True


@public.post("/payments/events", response=EventResponse, auth=Signature(), openapi_extra=problem_responses(401))
@transaction.atomic
def receive_event(
    request: Request,
    event: Body[PaymentEvent],
    event_id: Annotated[EventId, Header(alias="webhook-id", description="the id of the event")],
) -> EventResponse:
    """Receive a payment event. Only the payment provider calls this, and signs its requests."""
    return EventResponse(message=PaymentService().receive(event_id, event))
