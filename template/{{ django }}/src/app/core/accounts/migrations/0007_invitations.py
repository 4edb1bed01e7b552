"""Invitations."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("core_accounts", "0006_api_keys"),
    ]

    operations = [
        migrations.CreateModel(
            name="Invitation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.TextField(unique=True)),
                ("email", models.TextField(null=True)),
                ("roles", models.JSONField()),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("expires_at", models.DateTimeField(db_index=True)),
            ],
            options={
                "db_table": "invitations",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("digest__length", 64)), name="ck_invitations_digest_is_sha256"
                    )
                ],
            },
        ),
        migrations.AddField(
            model_name="emailtoken",
            name="invitation",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="core_accounts.invitation"
            ),
        ),
    ]
