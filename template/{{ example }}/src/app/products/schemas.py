"""What callers send and get about products."""

from app.schemas import BaseSchema
from app.types import Identifier, Line, Money, PositiveInt


class ProductCreate(BaseSchema):
    """A product comes into the catalogue."""

    name: Line
    price: Money
    stock: PositiveInt


class ProductResponse(BaseSchema):
    """A product, as everybody sees it."""

    id: Identifier
    name: str
    price: Money
    stock: int
