"""Products in the database."""

from collections.abc import Iterable, Mapping

from django.db.models import BooleanField, Case, F, Func, QuerySet, Value, When
from django.db.models.functions import Lower

from app.core import BaseRepository, Paginator
from app.products.models import Product
from app.products.words import prefix_query

MATCHES = "%(expressions)s::tsquery"


class ProductRepository(BaseRepository[Product]):
    model = Product

    @property
    def rows(self) -> QuerySet[Product]:
        return super().rows.defer("words")  # only for search

    def search(self, text: str, paginator: Paginator) -> tuple[list[Product], int]:
        """Return one page of products whose names match `prefix_query(text)`, and the total number."""
        # PostgreSQL lower-cases the query and the names, so that the same rules apply to both.
        words = F("words"), Lower(Value(prefix_query(text)))
        found = self.rows.filter(Func(*words, template=MATCHES, arg_joiner=" @@ ", output_field=BooleanField()))
        return self.page(paginator, found.order_by("name", "id"))

    def lock(self, product_ids: Iterable[int]) -> list[Product]:
        """Lock the rows of these products until the end of the transaction. Return the products that exist.

        Rows are locked in the order of their ids, so that two orders of the same products cannot deadlock.
        """
        return list(
            Product.objects.defer("words").filter(id__in=product_ids).order_by("id").select_for_update(no_key=True)
        )

    def take(self, quantities: Mapping[int, int]) -> None:
        """Subtract quantities from the stock of locked products."""
        taken = Case(*(When(id=product_id, then=quantity) for product_id, quantity in quantities.items()))
        Product.objects.filter(id__in=quantities).update(stock=F("stock") - taken)
