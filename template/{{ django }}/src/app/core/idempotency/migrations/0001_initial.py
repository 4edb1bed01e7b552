import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="IdempotentRequest",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "caller", "key", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("caller", models.TextField()),
                ("key", models.TextField()),
                ("fingerprint", models.TextField()),
                ("status", models.SmallIntegerField(null=True)),
                ("headers", models.JSONField(null=True)),
                ("body", models.BinaryField(null=True)),
                (
                    "created_at",
                    models.DateTimeField(
                        auto_now_add=True, db_default=django.db.models.functions.datetime.Now(), db_index=True
                    ),
                ),
            ],
            options={
                "db_table": "idempotent_requests",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("key__length__range", (1, 255))), name="ck_idempotent_requests_key_length"
                    )
                ],
            },
        ),
    ]
