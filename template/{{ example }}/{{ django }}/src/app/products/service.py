"""What can be done with products."""

from collections.abc import Mapping
from decimal import Decimal

from app.core import Conflict, NotFound
from app.products.repository import ProductRepository


class OutOfStock(Conflict):
    type = "urn:problem-type:out-of-stock"


class ProductService:
    """Products, within the request's transaction."""

    def reserve(self, quantities: Mapping[int, int]) -> dict[int, Decimal]:
        """Take a quantity of each product from its stock; returns their prices.

        NotFound or OutOfStock, with the products that are to blame, unless all of it can be taken.
        """
        repository = ProductRepository()
        products = repository.lock(quantities)
        if unknown := quantities.keys() - {product.id for product in products}:
            raise NotFound(f"There is no product {_listed(unknown)}.")
        if short := {product.id for product in products if product.stock < quantities[product.id]}:
            raise OutOfStock(f"There is not enough in stock of product {_listed(short)}.")
        repository.take(quantities)
        return {product.id: product.price for product in products}


def _listed(product_ids: set[int]) -> str:
    return ", ".join(map(str, sorted(product_ids)))
