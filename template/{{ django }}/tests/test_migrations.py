"""The migrations make exactly the tables that the models describe, and can be taken back."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.apps import apps
from django.core.management import call_command
from django.db.backends.base.base import BaseDatabaseWrapper


@sync_to_async
def tables(connection: BaseDatabaseWrapper) -> set[str]:
    return set(connection.introspection.table_names())


@sync_to_async
def migrate(*arguments: Any) -> None:
    call_command("migrate", *arguments, verbosity=0)


@sync_to_async
def check() -> None:
    """Name each slice, or one that has no migration yet is passed over."""
    slices = [config.label for config in apps.get_app_configs() if config.name.startswith("app.")]
    call_command("makemigrations", *slices, check=True, dry_run=True)


async def test_models_and_migrations_agree(db_session: BaseDatabaseWrapper) -> None:
    await check()


@pytest.mark.slow
async def test_every_migration_can_be_taken_back(db_session: BaseDatabaseWrapper) -> None:
    before = await tables(db_session)
    own = [config for config in apps.get_app_configs() if config.name.startswith("app.")]
    for config in own:
        if config.models_module and list(config.get_models()):
            await migrate(config.label, "zero")
    left = await tables(db_session)
    assert not {model._meta.db_table for config in own for model in config.get_models()} & left
    await migrate()
    assert await tables(db_session) == before
