"""Products in the database."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import BooleanField, Case, F, Func, Value, When
from django.db.models.functions import Lower

from app.pagination import Paginator
from app.products.models import Product
from app.products.words import prefix_query

# Nobody reads what is only there to be searched.
PRODUCTS = Product.objects.defer("words")
MATCHES = "%(expressions)s::tsquery"


class ProductRepository:
    """What the service asks about products."""

    def get(self, product_id: int, /) -> Product | None:
        """The product with this key."""
        return PRODUCTS.filter(id=product_id).first()

    def create(self, data: Mapping[str, Any], /) -> Product:
        """Store a new product."""
        return Product.objects.create(**data)

    def search(self, text: str, paginator: Paginator) -> tuple[list[Product], int]:
        """One page of the products in whose names every word of `text` begins a word, and how many there are."""
        # Lowered by PostgreSQL, as the names are: other rules would find less.
        words = F("words"), Lower(Value(prefix_query(text)))
        found = PRODUCTS.filter(Func(*words, template=MATCHES, arg_joiner=" @@ ", output_field=BooleanField()))
        products = found.order_by("name", "id")[paginator.offset : paginator.offset + paginator.size]
        return list(products), found.count()

    def lock(self, product_ids: Iterable[int]) -> list[Product]:
        """Those of these products that there are. Nobody else changes them before the transaction ends.

        They are locked in the order of their keys, so that of two orders one waits for the other, never both.
        """
        return list(PRODUCTS.filter(id__in=product_ids).order_by("id").select_for_update(no_key=True))

    def take(self, quantities: Mapping[int, int]) -> None:
        """Take these quantities from the stock of locked products."""
        taken = Case(*(When(id=product_id, then=quantity) for product_id, quantity in quantities.items()))
        Product.objects.filter(id__in=quantities).update(stock=F("stock") - taken)
