"""Routes of `/payments`."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Header, Request, Security
from fastapi.security import APIKeyHeader

from app.core import Transaction, verify_webhook
from app.payments.schemas import EventId, EventResponse, PaymentEvent
from app.payments.service import PaymentService
from app.payments.settings import Settings

public = APIRouter(prefix="/payments", tags=["payments"])

signature = APIKeyHeader(
    name="webhook-signature",
    scheme_name="signature",
    description="signature of `webhook-id`, `webhook-timestamp` and body, as in Standard Webhooks",
    auto_error=False,
)


async def signed(request: Request, _: Annotated[str | None, Security(signature)]) -> None:
    verify_webhook(Settings.current().payments_secret, request.headers, await request.body())


@public.post("/events", dependencies=[Depends(signed)])
async def receive_event(
    event: Annotated[PaymentEvent, Body()],
    event_id: Annotated[EventId, Header(alias="webhook-id", description="the id of the event")],
    session: Transaction,
) -> EventResponse:
    """Receive a payment event. Only the payment provider calls this, and signs its requests."""
    return EventResponse(message=await PaymentService(session).receive(event_id, event))
