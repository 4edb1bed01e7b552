"""Products in the database."""

from collections.abc import Iterable, Mapping

from sqlalchemy import BigInteger, ColumnElement, case, cast, func, select, update
from sqlalchemy.dialects.postgresql import TSQUERY

from app.core import BaseRepository, ReadSession, WriteSession
from app.products.models import Product
from app.products.schemas import MAX_STOCK, ProductQuery
from app.products.words import prefix_query


class ProductRepository[Session: ReadSession](BaseRepository[Product, Session]):
    model = Product

    async def find(self, query: ProductQuery) -> tuple[list[Product], int]:
        """Return one page of the products that match the filters, and the total number. Without archived products."""
        conditions: list[ColumnElement[bool]] = [Product.archived_at.is_(None)]
        if query.q:
            conditions.append(Product.words.bool_op("@@")(cast(func.lower(prefix_query(query.q)), TSQUERY)))
        if query.min_price is not None:
            conditions.append(Product.price >= query.min_price)
        if query.max_price is not None:
            conditions.append(Product.price <= query.max_price)
        if query.in_stock is not None:
            conditions.append(Product.stock > 0 if query.in_stock else Product.stock == 0)
        return await self.page(query, select(Product).where(*conditions))

    async def lock(self: "ProductRepository[WriteSession]", product_ids: Iterable[int]) -> list[Product]:
        """Lock the rows of these products until the end of the transaction. Return the products, also archived ones.

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

    async def put_back(self: "ProductRepository[WriteSession]", quantities: Mapping[int, int]) -> None:
        """Add quantities to the stock of locked products, up to the largest number of the column."""
        stock = cast(Product.stock, BigInteger) + case(quantities, value=Product.id)
        await self.session.execute(
            update(Product)
            .where(Product.id.in_(quantities))
            .values(stock=func.least(stock, MAX_STOCK))
            .execution_options(synchronize_session=False)
        )

    async def archive(self: "ProductRepository[WriteSession]", product: Product) -> None:
        """Set the time of archiving."""
        await self.session.execute(update(Product).where(Product.id == product.id).values(archived_at=func.now()))
