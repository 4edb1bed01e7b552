"""Products in the database."""

from collections.abc import Iterable, Mapping

from django.db.models import BooleanField, Case, F, Func, QuerySet, Value, When
from django.db.models.functions import Lower

from app.core import BaseRepository, Paginator
from app.products.models import Product
from app.products.words import prefix_query

MATCHES = "%(expressions)s::tsquery"


class ProductRepository(BaseRepository[Product]):
    """Products."""

    model = Product

    @property
    def rows(self) -> QuerySet[Product]:
        return super().rows.defer("words")  # which is only there to be searched

    def search(self, text: str, paginator: Paginator) -> tuple[list[Product], int]:
        """One page of the products in whose names every word of `text` begins a word, and how many there are."""
        # Lowered by PostgreSQL, as the names are: other rules would find less.
        words = F("words"), Lower(Value(prefix_query(text)))
        found = self.rows.filter(Func(*words, template=MATCHES, arg_joiner=" @@ ", output_field=BooleanField()))
        return self.page(paginator, found.order_by("name", "id"))

    def lock(self, product_ids: Iterable[int]) -> list[Product]:
        """Those of these products that exist. Other transactions cannot change them before this one ends.

        The locks are taken in the order of the keys, so that two orders of the same products cannot deadlock.
        """
        return list(
            Product.objects.defer("words").filter(id__in=product_ids).order_by("id").select_for_update(no_key=True)
        )

    def take(self, quantities: Mapping[int, int]) -> None:
        """Take these quantities from the stock of locked products."""
        taken = Case(*(When(id=product_id, then=quantity) for product_id, quantity in quantities.items()))
        Product.objects.filter(id__in=quantities).update(stock=F("stock") - taken)
