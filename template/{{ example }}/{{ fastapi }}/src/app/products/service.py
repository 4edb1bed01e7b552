"""What can be done with products."""

from collections.abc import Mapping
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from app.pagination import Paginator
from app.problems import Conflict, NotFound
from app.products.models import Product
from app.products.repository import ProductRepository
from app.products.schemas import ProductCreate


class OutOfStock(Conflict):
    type = "urn:problem-type:out-of-stock"


class ProductService:
    """Products, within the unit of work that `session` is."""

    def __init__(self, session: AsyncSession) -> None:
        self.products = ProductRepository(session)

    async def create(self, data: ProductCreate) -> Product:
        """Bring a product into the catalogue."""
        return await self.products.create(data.model_dump())

    async def get(self, product_id: int) -> Product:
        """The product. NotFound when there is none."""
        if product := await self.products.get(product_id):
            return product
        raise NotFound("There is no such product.")

    async def search(self, text: str, paginator: Paginator) -> tuple[list[Product], int]:
        """One page of the products that `text` finds, by name, and how many there are."""
        return await self.products.search(text, paginator)

    async def reserve(self, quantities: Mapping[int, int]) -> dict[int, Decimal]:
        """Take a quantity of each product from its stock; returns their prices.

        NotFound or OutOfStock, with the products that are to blame, unless all of it can be taken.
        """
        if unknown := quantities.keys() - await self.products.lock(quantities):
            raise NotFound(f"There is no product {_listed(unknown)}.")
        prices = await self.products.take(quantities)
        if short := quantities.keys() - prices.keys():
            raise OutOfStock(f"There is not enough in stock of product {_listed(short)}.")
        return prices


def _listed(product_ids: set[int]) -> str:
    return ", ".join(map(str, sorted(product_ids)))
