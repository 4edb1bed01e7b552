"""What the supplier tells, and callers get of it."""

from typing import Annotated

from pydantic import ConfigDict, Field

from app.core import BaseSchema, Money, ShortText

Count = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]


class SupplierProduct(BaseSchema):
    """Something that the supplier sells, and how many it has."""

    name: ShortText
    price: Money
    stock: Count


class SupplierProducts(BaseSchema):
    """All that the supplier sells, in its order."""

    items: list[SupplierProduct]


class OfferedProduct(SupplierProduct):
    """A product as the supplier tells it, who may tell more."""

    model_config = ConfigDict(extra="ignore")


class OfferedPage(BaseSchema):
    """A page of the supplier's list, which says how long the list is and how large its pages are."""

    model_config = ConfigDict(extra="ignore")

    items: list[OfferedProduct]
    page: Annotated[int, Field(strict=True, ge=1)]
    size: Annotated[int, Field(strict=True, ge=1)]
    total: Count
