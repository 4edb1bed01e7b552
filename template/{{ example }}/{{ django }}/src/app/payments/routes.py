"""Routes of `/payments`."""

from types import MappingProxyType

from django.db import transaction
from ninja import Router

from app.core import Request, Unauthorized, problem_responses, signature_matches
from app.payments.schemas import EventResponse, PaymentEvent
from app.payments.service import PaymentService
from app.payments.settings import Settings

public = Router(tags=["payments"])


class BadSignature(Unauthorized):
    detail = "The body must be signed by the payment provider."
    headers = MappingProxyType({"WWW-Authenticate": "Signature"})


class Signature:
    """Requires the payment provider's signature of the exact bytes of the body. BadSignature otherwise."""

    name = "signature"
    model = MappingProxyType(
        {
            "type": "apiKey",
            "in": "header",
            "name": "X-Signature",
            "description": "HMAC-SHA-256 of the body under PAYMENTS_SECRET, in hexadecimal",
        }
    )

    def __call__(self, request: Request) -> bool:
        secret = Settings.current().payments_secret.get_secret_value()
        offered = request.META.get("HTTP_X_SIGNATURE")
        if offered is None or not signature_matches(secret, request.body, offered):
            raise BadSignature
        return True


@public.post("/payments/events", response=EventResponse, auth=Signature(), openapi_extra=problem_responses(401))
@transaction.atomic
def receive_event(request: Request, event: PaymentEvent) -> EventResponse:
    """Receive a payment event. Only the payment provider calls this, and signs its requests."""
    return EventResponse(message=PaymentService().receive(event))
