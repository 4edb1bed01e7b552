"""Products in the database."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Integer, cast, column, func, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB, TSQUERY
from sqlalchemy.ext.asyncio import AsyncSession

from app.pagination import Paginator
from app.products.models import Product
from app.products.words import prefix_query


class ProductRepository:
    """What the service asks about products."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def get(self, product_id: int, /) -> Product | None:
        """The product with this key."""
        return await self.session.scalar(select(Product).where(Product.id == product_id))

    async def create(self, data: Mapping[str, Any], /) -> Product:
        """Store a new product."""
        product = Product(**data)
        self.session.add(product)
        await self.session.flush()
        return product

    async def search(self, text: str, paginator: Paginator) -> tuple[list[Product], int]:
        """One page of the products in whose names every word of `text` begins a word, and how many there are."""
        matches = Product.words.bool_op("@@")(cast(func.lower(prefix_query(text)), TSQUERY))
        products = await self.session.scalars(
            select(Product)
            .where(matches)
            .order_by(Product.name, Product.id)
            .offset(paginator.offset)
            .limit(paginator.size)
        )
        total = await self.session.scalar(select(func.count()).select_from(Product).where(matches))
        return list(products), total or 0

    async def lock(self, product_ids: Iterable[int]) -> set[int]:
        """Which of these products there are. Nobody else changes them before the transaction ends.

        They are locked in the order of their keys, so that of two orders one waits for the other, never both.
        """
        found = await self.session.scalars(
            select(Product.id).where(Product.id.in_(product_ids)).order_by(Product.id).with_for_update(key_share=True)
        )
        return set(found)

    async def take(self, quantities: Mapping[int, int]) -> dict[int, Decimal]:
        """Take these quantities from the stock of each product that has enough; returns the prices of those."""
        # One parameter makes one statement for orders of any length, which is put together and prepared once. Not of
        # arrays: what an array is of, asyncpg asks the server on each new connection, which takes longer than an order.
        lines = literal([{"id": key, "quantity": quantity} for key, quantity in quantities.items()], JSONB)
        columns = (column("id", BigInteger), column("quantity", Integer))
        wanted = func.jsonb_to_recordset(lines).table_valued(*columns).render_derived(name="wanted", with_types=True)
        taken = await self.session.execute(
            update(Product)
            .where(Product.id == wanted.c.id, Product.stock >= wanted.c.quantity)
            .values(stock=Product.stock - wanted.c.quantity)
            .returning(Product.id, Product.price)
            .execution_options(synchronize_session=False)
        )
        return {product.id: product.price for product in taken}
