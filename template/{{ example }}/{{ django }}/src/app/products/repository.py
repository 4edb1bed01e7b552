"""Products in the database."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.postgres.search import SearchQueryField
from django.db.models import Case, F, Value, When
from django.db.models.functions import Cast, Lower

from app.pagination import Paginator
from app.products.models import Product
from app.products.words import prefix_query


class ProductRepository:
    """What the service asks about products."""

    def get(self, product_id: int, /) -> Product | None:
        """The product with this key."""
        return Product.objects.filter(id=product_id).first()

    def create(self, data: Mapping[str, Any], /) -> Product:
        """Store a new product."""
        return Product.objects.create(**data)

    def search(self, text: str, paginator: Paginator) -> tuple[list[Product], int]:
        """One page of the products in whose names every word of `text` begins a word, and how many there are."""
        # As PostgreSQL lowers the names: other rules would find less.
        query = Cast(Lower(Value(prefix_query(text))), SearchQueryField())
        found = Product.objects.filter(words=query).defer("words")
        products = found.order_by("name", "id")[paginator.offset : paginator.offset + paginator.size]
        return list(products), found.count()

    def lock(self, product_ids: Iterable[int]) -> list[Product]:
        """Those of these products that there are. Nobody else changes them before the transaction ends.

        They are locked in the order of their keys, so that of two orders one waits for the other, never both.
        """
        return list(Product.objects.filter(id__in=product_ids).order_by("id").select_for_update(no_key=True))

    def take(self, quantities: Mapping[int, int]) -> None:
        """Take these quantities from the stock of locked products."""
        taken = Case(*(When(id=product_id, then=quantity) for product_id, quantity in quantities.items()))
        Product.objects.filter(id__in=quantities).update(stock=F("stock") - taken)
