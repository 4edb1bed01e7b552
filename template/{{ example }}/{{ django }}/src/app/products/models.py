"""The table of products."""

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db.models import (
    CheckConstraint,
    DateTimeField,
    DecimalField,
    Func,
    GeneratedField,
    IntegerField,
    Model,
    Q,
    TextField,
)

from app.products.words import WORDS


class Product(Model):
    """A product of the catalogue. An archived product was ordered, and can no longer be ordered."""

    name = TextField()
    price = DecimalField(max_digits=12, decimal_places=2)
    stock = IntegerField()
    archived_at = DateTimeField(null=True, blank=True, editable=False)
    words = GeneratedField(
        expression=Func(template=WORDS, output_field=SearchVectorField()),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    class Meta:
        db_table = "products"
        constraints = (
            CheckConstraint(condition=Q(name__length__range=(1, 200)), name="ck_products_name_length"),
            CheckConstraint(condition=Q(price__gt=0), name="ck_products_price_is_positive"),
            CheckConstraint(condition=Q(stock__gte=0), name="ck_products_stock_is_not_negative"),
        )
        indexes = (GinIndex(fields=("words",), name="ix_products_words"),)

    def __str__(self) -> str:
        return self.name
