"""Settings of the supplier."""

from typing import Self

from pydantic import Field, HttpUrl, model_validator

from app.core import Environment


class Settings(Environment):
    supplier_url: HttpUrl | None = Field(
        default=None, description="URL of the supplier's paginated list of products; off without it"
    )

    @model_validator(mode="after")
    def _supplier_is_usable(self) -> Self:
        if self.production and self.supplier_url and self.supplier_url.scheme != "https":
            raise ValueError("SUPPLIER_URL must start with https:// in production")
        return self
