"""API keys."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("core_accounts", "0005_deleted_users"),
    ]

    operations = [
        migrations.CreateModel(
            name="ApiKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.TextField()),
                ("digest", models.TextField(unique=True)),
                ("scopes", models.JSONField()),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("last_used_at", models.DateTimeField(null=True)),
                ("expires_at", models.DateTimeField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "verbose_name": "API key",
                "db_table": "api_keys",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("digest__length", 64)), name="ck_api_keys_digest_is_sha256"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("name__length__lte", 200)), name="ck_api_keys_name_length"
                    ),
                ],
            },
        ),
    ]
