"""Products in the database."""

from collections.abc import Iterable, Mapping

from sqlalchemy import case, cast, func, select, update
from sqlalchemy.dialects.postgresql import TSQUERY

from app.core import BaseRepository, Paginator, ReadSession, WriteSession
from app.products.models import Product
from app.products.words import prefix_query


class ProductRepository[Session: ReadSession](BaseRepository[Product, Session]):
    model = Product

    async def search(self, text: str, paginator: Paginator) -> tuple[list[Product], int]:
        """Return one page of products whose names match `prefix_query(text)`, and the total number."""
        matches = Product.words.bool_op("@@")(cast(func.lower(prefix_query(text)), TSQUERY))
        return await self.page(paginator, select(Product).where(matches).order_by(Product.name, Product.id))

    async def lock(self: "ProductRepository[WriteSession]", product_ids: Iterable[int]) -> list[Product]:
        """Lock the rows of these products until the end of the transaction. Return the products that exist.

        Rows are locked in the order of their ids, so that two orders of the same products cannot deadlock.
        """
        wanted = select(Product).where(Product.id.in_(product_ids)).order_by(Product.id)
        locked = wanted.with_for_update(key_share=True).execution_options(populate_existing=True)
        return list(await self.session.scalars(locked))

    async def take(self: "ProductRepository[WriteSession]", quantities: Mapping[int, int]) -> None:
        """Subtract quantities from the stock of locked products."""
        await self.session.execute(
            update(Product)
            .where(Product.id.in_(quantities))
            .values(stock=Product.stock - case(quantities, value=Product.id))
            .execution_options(synchronize_session=False)
        )
