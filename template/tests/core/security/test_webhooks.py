"""Signed messages of other services."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr, TypeAdapter, ValidationError
from standardwebhooks import Webhook

from app.core import BadSignature, WebhookSecrets, verify_webhook

OLD, NEW = (base64.b64encode(bytes(range(start, start + 32))).decode() for start in (1, 33))


def signed(secret: str, body: str = "{}", age: timedelta = timedelta()) -> dict[str, str]:
    sent = datetime.now(UTC) - age
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(sent.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", sent, body),
    }


def test_example_of_the_standard_is_accepted() -> None:
    # The library makes the signature that the specification gives for these values.
    signature = Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").sign(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", datetime.fromtimestamp(1614265330, UTC), '{"test": 2432232314}'
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", [OLD, NEW, f"whsec_{NEW}", NEW.rstrip("=")], ids=["old", "new", "prefix", "bare"])
def test_each_configured_secret_is_accepted(secret: str) -> None:
    verify_webhook(SecretStr(f"{OLD}, whsec_{NEW}"), signed(secret), b"{}")


@pytest.mark.parametrize("seconds", [-301, 301])
def test_message_outside_tolerance_is_refused(seconds: int) -> None:
    inside, outside = (timedelta(seconds=seconds * part) for part in (0.95, 1.05))
    verify_webhook(SecretStr(OLD), signed(OLD, age=inside), b"{}")
    with pytest.raises(BadSignature):
        verify_webhook(SecretStr(OLD), signed(OLD, age=outside), b"{}")


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook-id": "msg_2"},
        {"webhook-id": ""},
        {"webhook-timestamp": "0"},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,é"},
        {"webhook-signature": "v1,A"},
        {"webhook-signature": "v1a," + "A" * 44},
        {"webhook-signature": signed(NEW)["webhook-signature"]},
    ],
)
def test_wrong_header_is_refused(changes: dict[str, str]) -> None:
    verify_webhook(SecretStr(OLD), signed(OLD), b"{}")
    with pytest.raises(BadSignature):
        verify_webhook(SecretStr(OLD), signed(OLD) | changes, b"{}")


@pytest.mark.parametrize("body", [b"", b"{} ", b"[]", b"\xff"])
def test_other_body_is_refused(body: bytes) -> None:
    with pytest.raises(BadSignature):
        verify_webhook(SecretStr(OLD), signed(OLD), body)


def test_missing_secret_refuses_all_messages() -> None:
    with pytest.raises(BadSignature):
        verify_webhook(SecretStr(""), signed(OLD), b"{}")


@pytest.mark.parametrize("secrets", ["short", f"{OLD},short", "A" * 33, "A" * 88, f"{OLD[:-2]}-_", "ä" * 40])
def test_invalid_secret_is_refused(secrets: str) -> None:
    adapter: TypeAdapter[SecretStr] = TypeAdapter(WebhookSecrets)
    assert adapter.validate_python(f"{OLD},whsec_{NEW}")
    with pytest.raises(ValidationError, match="must be keys of 24 to 64 bytes in base64"):
        adapter.validate_python(secrets)
