"""What callers send and get about products."""

from decimal import Decimal

from app.core import BaseSchema, Money, PositiveInt, ShortText


class ProductCreate(BaseSchema):
    """A product comes into the catalogue."""

    name: ShortText
    price: Money
    stock: PositiveInt


class ProductResponse(BaseSchema):
    """A product, as everybody sees it."""

    id: int
    name: str
    price: Decimal
    stock: int
