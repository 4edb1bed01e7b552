"""Settings of payments."""

import secrets
from typing import Self

from pydantic import Field, SecretStr, model_validator

from app.core import Environment, WebhookSecrets


class Settings(Environment):
    payments_secret: WebhookSecrets = Field(
        default_factory=lambda: SecretStr(secrets.token_hex(32)),
        description="signing key of the payment provider, or old and new key, comma-separated; required in production",
    )

    @model_validator(mode="after")
    def _safe_in_production(self) -> Self:
        if self.production:
            self._require_secret("payments_secret")
        return self
