import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("orders", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Event",
            fields=[
                ("id", models.TextField(primary_key=True, serialize=False)),
                ("status", models.TextField()),
                ("data", models.TextField(null=True)),
                ("message", models.TextField(null=True)),
                (
                    "received_at",
                    models.DateTimeField(auto_now_add=True, db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "order",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="+", to="orders.order"),
                ),
            ],
            options={
                "db_table": "payment_events",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("id__length__range", (1, 255))), name="ck_payment_events_id_length"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("status__length__range", (1, 200))), name="ck_payment_events_status_length"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("data__length__range", (1, 200))), name="ck_payment_events_data_length"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("message__length__range", (1, 200))),
                        name="ck_payment_events_message_length",
                    ),
                ],
            },
        ),
    ]
