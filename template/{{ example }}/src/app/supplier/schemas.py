"""Schemas of the supplier's products."""

from typing import Annotated

from pydantic import ConfigDict, Field

from app.core import BaseSchema, Money, ShortText

Count = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]


class SupplierProduct(BaseSchema):
    """A product of the supplier, with its stock."""

    name: ShortText
    price: Money
    stock: Count


class SupplierProducts(BaseSchema):
    """All products of the supplier, in its order."""

    items: list[SupplierProduct]


class OfferedProduct(SupplierProduct):
    """A product in a response of the supplier. Other fields are ignored."""

    model_config = ConfigDict(extra="ignore")


class OfferedPage(BaseSchema):
    """A page of the supplier's list, with the number of products in the list and the size of pages."""

    model_config = ConfigDict(extra="ignore")

    items: list[OfferedProduct]
    page: Annotated[int, Field(strict=True, ge=1)]
    size: Annotated[int, Field(strict=True, ge=1)]
    total: Count
