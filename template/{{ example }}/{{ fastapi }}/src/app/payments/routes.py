"""Routes of `/payments`."""

from types import MappingProxyType
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Security
from fastapi.security import APIKeyHeader

from app.core import Transaction, Unauthorized, signature_matches
from app.payments.schemas import EventResponse, PaymentEvent
from app.payments.service import PaymentService
from app.payments.settings import Settings

public = APIRouter(prefix="/payments", tags=["payments"])

signature = APIKeyHeader(
    name="X-Signature",
    scheme_name="signature",
    description="HMAC-SHA-256 of the body under PAYMENTS_SECRET, in hexadecimal",
    auto_error=False,
)


class BadSignature(Unauthorized):
    detail = "The body must be signed by the payment provider."
    headers = MappingProxyType({"WWW-Authenticate": "Signature"})


async def signed(request: Request, offered: Annotated[str | None, Security(signature)]) -> None:
    """Raise BadSignature unless the payment provider signed the exact bytes of the body."""
    secret = Settings.current().payments_secret.get_secret_value()
    if offered is None or not signature_matches(secret, await request.body(), offered):
        raise BadSignature


@public.post("/events", dependencies=[Depends(signed)])
async def receive_event(event: PaymentEvent, session: Transaction) -> EventResponse:
    """Receive a payment event. Only the payment provider calls this, and signs its requests."""
    return EventResponse(message=await PaymentService(session).receive(event))
