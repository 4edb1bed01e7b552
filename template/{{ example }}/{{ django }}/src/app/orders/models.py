"""The tables of orders and their lines."""

from django.conf import settings
from django.db.models import (
    CASCADE,
    PROTECT,
    CheckConstraint,
    CompositePrimaryKey,
    DateTimeField,
    DecimalField,
    ForeignKey,
    Index,
    IntegerField,
    Model,
    Q,
)
from django.db.models.functions import Now


class Order(Model):
    """An order."""

    user = ForeignKey(settings.AUTH_USER_MODEL, on_delete=PROTECT, related_name="+", db_index=False)
    created_at = DateTimeField(auto_now_add=True, db_default=Now())
    paid_at = DateTimeField(null=True)
    cancelled_at = DateTimeField(null=True)

    class Meta:
        db_table = "orders"
        constraints = (
            CheckConstraint(condition=Q(paid_at=None) | Q(cancelled_at=None), name="ck_orders_paid_or_cancelled"),
        )
        indexes = (Index(fields=("user", "created_at", "id"), name="ix_orders_user_id_created_at"),)

    def __str__(self) -> str:
        return f"order {self.pk}"


class OrderItem(Model):
    """A line of an order, with the price at the time of the order."""

    pk = CompositePrimaryKey("order_id", "product_id")
    order = ForeignKey(Order, on_delete=CASCADE, related_name="items", db_index=False)
    product = ForeignKey("products.Product", on_delete=PROTECT, related_name="+")
    quantity = IntegerField()
    unit_price = DecimalField(max_digits=12, decimal_places=2)

    class Meta:
        db_table = "order_items"
        constraints = (
            CheckConstraint(condition=Q(quantity__gt=0), name="ck_order_items_quantity_is_positive"),
            CheckConstraint(condition=Q(unit_price__gt=0), name="ck_order_items_unit_price_is_positive"),
        )

    def __str__(self) -> str:
        return f"line {self.pk}"
