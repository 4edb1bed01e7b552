"""What can be done with products."""

from collections.abc import Mapping
from decimal import Decimal

from app.pagination import Paginator
from app.problems import Conflict, NotFound
from app.products.models import Product
from app.products.repository import ProductRepository
from app.products.schemas import ProductCreate


class OutOfStock(Conflict):
    type = "urn:problem-type:out-of-stock"


class ProductService:
    """Products, within the request's unit of work."""

    def __init__(self) -> None:
        self.products = ProductRepository()

    def create(self, data: ProductCreate) -> Product:
        """Bring a product into the catalogue."""
        return self.products.create(data.model_dump())

    def get(self, product_id: int) -> Product:
        """The product. NotFound when there is none."""
        if product := self.products.get(product_id):
            return product
        raise NotFound("There is no such product.")

    def search(self, text: str, paginator: Paginator) -> tuple[list[Product], int]:
        """One page of the products that `text` finds, by name, and how many there are."""
        return self.products.search(text, paginator)

    def reserve(self, quantities: Mapping[int, int]) -> dict[int, Decimal]:
        """Take a quantity of each product from its stock; returns their prices.

        NotFound or OutOfStock, with the products that are to blame, unless all of it can be taken.
        """
        products = self.products.lock(quantities)
        if unknown := quantities.keys() - {product.id for product in products}:
            raise NotFound(f"There is no product {_listed(unknown)}.")
        if short := {product.id for product in products if product.stock < quantities[product.id]}:
            raise OutOfStock(f"There is not enough in stock of product {_listed(short)}.")
        self.products.take(quantities)
        return {product.id: product.price for product in products}


def _listed(product_ids: set[int]) -> str:
    return ", ".join(map(str, sorted(product_ids)))
