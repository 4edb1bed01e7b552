"""Messages of other services to this one, signed as in https://www.standardwebhooks.com."""

from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType

from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

from app.core.problems import Unauthorized
from app.core.values import split_commas


class BadSignature(Unauthorized):
    detail = "The message must have a valid signature of its sender, at most five minutes old."
    headers = MappingProxyType({"WWW-Authenticate": "Signature"})


def verify_webhook(secrets: SecretStr, headers: Mapping[str, str], body: bytes) -> None:
    """Raise BadSignature unless one of `secrets` signed the id, the time and the exact bytes of the message.

    Store the header `webhook-id` of each message: a message that is sent again has the same id.
    """
    for secret in split_commas(secrets.get_secret_value()):
        with suppress(WebhookVerificationError, ValueError):
            Webhook(secret).verify(body, dict(headers), json_parse=False)
            return
    raise BadSignature
