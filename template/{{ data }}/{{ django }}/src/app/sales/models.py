"""The table of the daily sales."""

from django.db.models import BigIntegerField, CheckConstraint, CompositePrimaryKey, DateField, F, Model, Q, TextField


class DailySales(Model):
    """The sales of a day and channel. Revenue is in the smallest unit of the currency, such as cents."""

    pk = CompositePrimaryKey("day", "channel")
    day = DateField()
    channel = TextField()
    orders = BigIntegerField()
    paid = BigIntegerField()
    returned = BigIntegerField()
    revenue = BigIntegerField()

    class Meta:
        db_table = "daily_sales"
        constraints = (
            CheckConstraint(
                condition=Q(returned__gte=0, returned__lte=F("paid"), paid__lte=F("orders")),
                name="ck_daily_sales_counts_fit",
            ),
            CheckConstraint(condition=Q(revenue__gte=0), name="ck_daily_sales_revenue_is_not_negative"),
        )

    def __str__(self) -> str:
        return f"sales of {self.day} through {self.channel}"
