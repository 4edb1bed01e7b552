from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from app.core import Conflict, NotFound, WriteSession
from app.products.repository import ProductRepository


class OutOfStock(Conflict):
    type = "urn:problem-type:out-of-stock"


@dataclass
class ProductService:
    """Reserves products, within the transaction of `session`."""

    session: WriteSession

    async def reserve(self, quantities: Mapping[int, int]) -> dict[int, Decimal]:
        """Subtract a quantity of each product from its stock, and return the prices.

        NotFound with the unknown products, or OutOfStock with the products that have too little stock.
        """
        repository = ProductRepository(self.session)
        products = await repository.lock(quantities)
        if unknown := quantities.keys() - {product.id for product in products}:
            raise NotFound(f"There is no product {_listed(unknown)}.")
        if short := {product.id for product in products if product.stock < quantities[product.id]}:
            raise OutOfStock(f"There is not enough in stock of product {_listed(short)}.")
        await repository.take(quantities)
        return {product.id: product.price for product in products}


def _listed(product_ids: set[int]) -> str:
    return ", ".join(map(str, sorted(product_ids)))
