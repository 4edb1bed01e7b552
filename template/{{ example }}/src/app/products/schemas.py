"""Schemas of products."""

from decimal import Decimal

from app.core import BaseSchema, Money, PositiveInt, ShortText


class ProductCreate(BaseSchema):
    """Request to add a product to the catalogue."""

    name: ShortText
    price: Money
    stock: PositiveInt


class ProductResponse(BaseSchema):
    """A product."""

    id: int
    name: str
    price: Decimal
    stock: int
