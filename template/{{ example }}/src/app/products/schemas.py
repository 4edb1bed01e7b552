"""Schemas of products."""

from decimal import Decimal
from typing import Self

from pydantic import Field, model_validator

from app.core import (
    UNCHANGED,
    BaseSchema,
    Flag,
    ListQuery,
    Money,
    NonNegativeInt,
    Page,
    PositiveInt,
    ShortText,
    sort_by,
)

MAX_STOCK = 2**31 - 1


class ProductCreate(BaseSchema):
    """Request to add a product to the catalogue."""

    name: ShortText
    price: Money
    stock: PositiveInt


class ProductUpdate(BaseSchema):
    """Request to change a product. Missing fields do not change."""

    name: ShortText = UNCHANGED
    price: Money = UNCHANGED
    stock: NonNegativeInt = UNCHANGED


class ProductResponse(BaseSchema):
    """A product."""

    id: int
    name: str
    price: Decimal
    stock: int


class ProductQuery(ListQuery):
    """Filters and sort order of the catalogue."""

    sort: str = sort_by("name", "price", "stock", "id", default="name")
    q: ShortText | None = Field(
        default=None, description="words; each must be the prefix of a word of the product's name, ignoring case"
    )
    min_price: Money | None = Field(default=None, description="lowest price")
    max_price: Money | None = Field(default=None, description="highest price")
    in_stock: Flag | None = Field(default=None, description="`false` lists products that are sold out")

    @model_validator(mode="after")
    def validate_prices(self) -> Self:
        if self.min_price is not None and self.max_price is not None and self.max_price < self.min_price:
            raise ValueError("max_price must not be below min_price")
        return self


class ProductPage(Page[ProductResponse]):
    """One page of the catalogue, with links to the next and the previous page."""

    next: str | None
    previous: str | None
