import django.db.models.functions.datetime
import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="User",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.TextField()),
                ("email", models.TextField(verbose_name="e-mail")),
                ("password_hash", models.TextField(blank=True, editable=False, null=True)),
                ("subject", models.TextField(blank=True, null=True, unique=True)),
                ("is_admin", models.BooleanField(db_default=False, default=False, verbose_name="administrator")),
                (
                    "created_at",
                    models.DateTimeField(auto_now_add=True, db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={
                "db_table": "users",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("name__length__range", (1, 200))), name="ck_users_name_length"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("email__length__lte", 254), ("email__regex", "^.+@.+$")),
                        name="ck_users_email_form",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("password_hash__isnull", False), ("subject__isnull", False), _connector="OR"
                        ),
                        name="ck_users_can_log_in",
                    ),
                    models.UniqueConstraint(
                        django.db.models.functions.text.Lower("email"), name="uq_users_email_lower"
                    ),
                ],
            },
        ),
    ]
