import django.contrib.postgres.indexes
import django.contrib.postgres.search
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Product",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.TextField()),
                ("price", models.DecimalField(decimal_places=2, max_digits=12)),
                ("stock", models.IntegerField()),
                ("archived_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "words",
                    models.GeneratedField(
                        db_persist=True,
                        expression=models.Func(
                            output_field=django.contrib.postgres.search.SearchVectorField(),
                            template="array_to_tsvector(array_remove(\n    (regexp_split_to_array(lower(name), '\\s+'::text)\n     || regexp_split_to_array(lower(name), '[^[:alnum:]]+'::text))\n    || regexp_split_to_array(lower(name), '[[:alnum:][:space:]]+'::text), ''::text))",
                        ),
                        output_field=django.contrib.postgres.search.SearchVectorField(),
                    ),
                ),
            ],
            options={
                "db_table": "products",
                "indexes": [django.contrib.postgres.indexes.GinIndex(fields=["words"], name="ix_products_words")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("name__length__range", (1, 200))), name="ck_products_name_length"
                    ),
                    models.CheckConstraint(condition=models.Q(("price__gt", 0)), name="ck_products_price_is_positive"),
                    models.CheckConstraint(
                        condition=models.Q(("stock__gte", 0)), name="ck_products_stock_is_not_negative"
                    ),
                ],
            },
        ),
    ]
