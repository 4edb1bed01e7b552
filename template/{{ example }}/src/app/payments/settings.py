"""Settings of payments."""

import secrets
from typing import Self

from pydantic import Field, SecretStr, model_validator

from app.core import Environment


class Settings(Environment):
    payments_secret: SecretStr = Field(
        default_factory=lambda: SecretStr(secrets.token_urlsafe(48)),
        description="shared with the payment provider, which signs its messages with it; required in production",
    )

    @model_validator(mode="after")
    def _safe_in_production(self) -> Self:
        if self.production:
            self._require_secret("payments_secret")
        return self
