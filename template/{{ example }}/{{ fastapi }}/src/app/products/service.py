from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy.exc import IntegrityError

from app.core import Conflict, NotFound, WriteSession
from app.products.models import Product
from app.products.repository import ProductRepository
from app.products.schemas import ProductUpdate


class OutOfStock(Conflict):
    type = "urn:problem-type:out-of-stock"


@dataclass
class ProductService:
    """Changes, deletes and reserves products, within the transaction of `session`."""

    session: WriteSession

    async def get_for_update(self, product_id: int) -> Product:
        """Return the product, with its row locked. Raise NotFound for an unknown or archived product."""
        product = await ProductRepository(self.session).get_for_update(product_id)
        if product is None or product.archived_at:
            raise NotFound("There is no such product.")
        return product

    async def change(self, product: Product, data: ProductUpdate) -> None:
        await ProductRepository(self.session).update(product, data.model_dump(exclude_unset=True))

    async def delete(self, product: Product) -> None:
        """Delete the product. Archive it instead if another table refers to it, such as the lines of orders."""
        products = ProductRepository(self.session)
        try:
            async with self.session.begin_nested():
                await products.delete(product.id)
        except IntegrityError:
            await products.archive(product)

    async def reserve(self, quantities: Mapping[int, int]) -> dict[int, Decimal]:
        """Subtract a quantity of each product from its stock, and return the prices.

        Raise NotFound with the unknown products, or OutOfStock with the products that have too little stock.
        """
        repository = ProductRepository(self.session)
        products = await repository.lock(quantities)
        if unknown := quantities.keys() - {product.id for product in products if not product.archived_at}:
            raise NotFound(f"There is no product {_listed(unknown)}.")
        if short := {product.id for product in products if product.stock < quantities[product.id]}:
            raise OutOfStock(f"There is not enough in stock of product {_listed(short)}.")
        await repository.take(quantities)
        return {product.id: product.price for product in products}

    async def restore(self, quantities: Mapping[int, int]) -> None:
        """Add a quantity of each product to its stock."""
        repository = ProductRepository(self.session)
        await repository.lock(quantities)  # in the order of ids, as `reserve` does, against deadlocks
        await repository.put_back(quantities)


def _listed(product_ids: set[int]) -> str:
    return ", ".join(map(str, sorted(product_ids)))
