"""Migrations match the models and are reversible."""

from inspect import getfile
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.exceptions import IrreversibleError
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ModelState
from django.db.models import NOT_PROVIDED, TextField

from app.core.database.migrations import Questioner


@sync_to_async
def tables(connection: BaseDatabaseWrapper) -> set[str]:
    return set(connection.introspection.table_names())


@sync_to_async
def migrate(*arguments: Any) -> None:
    call_command("migrate", *arguments, verbosity=0)


@sync_to_async
def check() -> None:
    """Check every slice by name: `makemigrations` skips slices without migrations otherwise."""
    slices = [config.label for config in apps.get_app_configs() if config.name.startswith("app.")]
    call_command("makemigrations", *slices, check=True, dry_run=True)


async def test_models_and_migrations_agree(db_session: BaseDatabaseWrapper) -> None:
    await check()


def test_template_database_includes_all_migrations(migrations: bytes) -> None:
    """Includes other packages: otherwise a new migration of a package would not rebuild the template database."""
    for migration in MigrationLoader(None).disk_migrations.values():
        assert Path(getfile(type(migration))).read_bytes() in migrations, str(migration)


def test_destructive_answers_print_warnings() -> None:
    """For `makemigrations` without a terminal."""
    said: list[str] = []
    questioner = Questioner(log=said.append)
    plum, damson = ModelState("plums", "Plum", []), ModelState("plums", "Damson", [])
    assert not questioner.ask_rename("plum", "note", "remark", TextField())
    assert not questioner.ask_rename_model(plum, damson)
    assert questioner.ask_not_null_alteration("note", "plum") is NOT_PROVIDED
    questioner.ask_unique_callable_default_addition("code", "plum")
    expected = (
        'migrations.RenameField("plum", "note", "remark")',
        'migrations.RenameModel("Plum", "Damson")',
        "becomes NOT NULL",
        "all rows that exist get the same default",
    )
    for warning, words in zip(said, expected, strict=True):
        assert warning.startswith("Warning: The ")
        assert words in warning
    for ask in (questioner.ask_not_null_addition, questioner.ask_auto_now_add_addition):
        with pytest.raises(CommandError, match=r"the new field plum\.weight needs a default"):
            ask("weight", "plum")


@pytest.mark.slow
async def test_every_migration_is_reversible(db_session: BaseDatabaseWrapper) -> None:
    before = await tables(db_session)
    own = [config for config in apps.get_app_configs() if config.name.startswith("app.")]
    for config in own:
        if config.models_module and list(config.get_models()):
            try:
                await migrate(config.label, "zero")
            except IrreversibleError as error:
                pytest.fail(f"{error}: add reverse_code, such as migrations.RunPython.noop.")
    left = await tables(db_session)
    assert not {model._meta.db_table for config in own for model in config.get_models()} & left
    await migrate()
    assert await tables(db_session) == before
