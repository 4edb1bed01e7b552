"""Registrations that wait for the verification of their address."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("core_accounts", "0003_email_tokens"),
    ]

    operations = [
        migrations.AddField(model_name="emailtoken", name="name", field=models.TextField(null=True)),
        migrations.AddField(model_name="emailtoken", name="password", field=models.TextField(null=True)),
    ]
