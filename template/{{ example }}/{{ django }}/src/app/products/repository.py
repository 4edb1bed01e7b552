"""Products in the database."""

from collections.abc import Iterable, Mapping

from django.db.models import BigIntegerField, BooleanField, Case, F, Func, ManyToOneRel, QuerySet, Value, When
from django.db.models.functions import Cast, Least, Lower, Now

from app.core import BaseRepository
from app.products.models import Product
from app.products.schemas import MAX_STOCK, ProductQuery
from app.products.words import prefix_query

MATCHES = "%(expressions)s::tsquery"


class ProductRepository(BaseRepository[Product]):
    model = Product

    @property
    def rows(self) -> QuerySet[Product]:
        return super().rows.defer("words")  # only for search

    def find(self, query: ProductQuery) -> tuple[list[Product], int]:
        """Return one page of the products that match the filters, and the total number. Without archived products."""
        found = self.rows.filter(archived_at=None)
        if query.q:
            # PostgreSQL lower-cases the query and the names, so that the same rules apply to both.
            words = F("words"), Lower(Value(prefix_query(query.q)))
            found = found.filter(Func(*words, template=MATCHES, arg_joiner=" @@ ", output_field=BooleanField()))
        if query.min_price is not None:
            found = found.filter(price__gte=query.min_price)
        if query.max_price is not None:
            found = found.filter(price__lte=query.max_price)
        if query.in_stock is not None:
            found = found.filter(stock__gt=0) if query.in_stock else found.filter(stock=0)
        return self.page(query, found)

    def lock(self, product_ids: Iterable[int]) -> list[Product]:
        """Lock the rows of these products until the end of the transaction. Return the products, also archived ones.

        Rows are locked in the order of their ids, so that two orders of the same products cannot deadlock.
        """
        return list(
            Product.objects.defer("words").filter(id__in=product_ids).order_by("id").select_for_update(no_key=True)
        )

    def take(self, quantities: Mapping[int, int]) -> None:
        """Subtract quantities from the stock of locked products."""
        taken = Case(*(When(id=product_id, then=quantity) for product_id, quantity in quantities.items()))
        Product.objects.filter(id__in=quantities).update(stock=F("stock") - taken)

    def put_back(self, quantities: Mapping[int, int]) -> None:
        """Add quantities to the stock of locked products, up to the largest number of the column."""
        added = Case(*(When(id=product_id, then=quantity) for product_id, quantity in quantities.items()))
        stock = Cast(F("stock"), BigIntegerField()) + Cast(added, BigIntegerField())
        Product.objects.filter(id__in=quantities).update(stock=Least(stock, MAX_STOCK))

    def is_referred_to(self, product: Product) -> bool:
        """Return whether another table refers to the product. Django's `delete()` would load all rows that do."""
        relations = Product._meta.get_fields(include_hidden=True)  # noqa: SLF001 -- documented, despite its name
        return any(
            relation.field.model._default_manager.filter(**{relation.field.name: product}).exists()  # noqa: SLF001
            for relation in relations
            if isinstance(relation, ManyToOneRel)
        )

    def archive(self, product: Product) -> None:
        """Set the time of archiving."""
        Product.objects.filter(id=product.id).update(archived_at=Now())
