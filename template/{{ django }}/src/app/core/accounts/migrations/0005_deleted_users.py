"""Table of deleted users: their access tokens end."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("core_accounts", "0004_verification"),
    ]

    operations = [
        migrations.CreateModel(
            name="DeletedUser",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                (
                    "deleted_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), db_index=True),
                ),
            ],
            options={
                "db_table": "deleted_users",
            },
        ),
    ]
