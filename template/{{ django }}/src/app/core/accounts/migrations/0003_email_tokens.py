"""E-mailed tokens."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("core_accounts", "0002_sessions"),
    ]

    operations = [
        migrations.CreateModel(
            name="EmailToken",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("purpose", models.TextField()),
                ("digest", models.TextField(unique=True)),
                ("email", models.TextField()),
                ("expires_at", models.DateTimeField(db_index=True)),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "db_table": "email_tokens",
            },
        ),
        migrations.AddConstraint(
            model_name="emailtoken",
            constraint=models.CheckConstraint(
                condition=models.Q(("digest__length", 64)), name="ck_email_tokens_digest_is_sha256"
            ),
        ),
    ]
