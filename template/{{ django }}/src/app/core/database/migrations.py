"""Changes to Django's migration commands: warnings and error messages."""

from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.core.management import CommandError, call_command
from django.core.management.commands import makemigrations, migrate
from django.db import DatabaseError, connection
from django.db.migrations import Migration
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.questioner import MigrationQuestioner, NonInteractiveMigrationQuestioner
from django.db.migrations.state import ModelState, ProjectState
from django.db.models import NOT_PROVIDED, Field

from app.core.database.revisions import describe_failure


class Questioner(NonInteractiveMigrationQuestioner):
    """For commands without a terminal: warns about migrations that lose data, and refuses those that would fail."""

    def ask_rename(self, model_name: str, old_name: str, new_name: str, field_instance: "Field[Any, Any]") -> bool:
        self._warn(
            f"The field {model_name}.{old_name} is removed with its values, and {model_name}.{new_name} is added."
            f' If you renamed it, write migrations.RenameField("{model_name}", "{old_name}", "{new_name}") instead'
        )
        return False

    def ask_rename_model(self, old_model_state: ModelState, new_model_state: ModelState) -> bool:
        old, new = old_model_state.name, new_model_state.name
        self._warn(
            f"The model {old} is deleted with its rows, and {new} is created."
            f' If you renamed it, write migrations.RenameModel("{old}", "{new}") instead'
        )
        return False

    def ask_not_null_alteration(self, field_name: str, model_name: str) -> Any:
        self._warn(
            f"The field {model_name}.{field_name} becomes NOT NULL: the migration fails when a row has no value."
            " Set one in each such row first, by migrations.RunPython"
        )
        return NOT_PROVIDED

    def ask_not_null_addition(self, field_name: str, model_name: str) -> Any:
        raise CommandError(
            f"the new field {model_name}.{field_name} needs a default for the rows that exist:"
            " add default or db_default, or null=True, or run this command in a terminal, where Django asks for one"
        )

    def ask_auto_now_add_addition(self, field_name: str, model_name: str) -> Any:
        return self.ask_not_null_addition(field_name, model_name)

    def ask_unique_callable_default_addition(self, field_name: str, model_name: str) -> None:
        self._warn(
            f"The new field {model_name}.{field_name} is unique, but all rows that exist get the same default:"
            " https://docs.djangoproject.com/en/5.2/howto/writing-migrations/#migrations-that-add-unique-fields"
        )

    def _warn(self, sentence: str) -> None:
        if self.log:
            self.log(f"Warning: {sentence}.")


class Autodetector(MigrationAutodetector):
    """Django's autodetector with the questioner of this module, if there is no terminal."""

    def __init__(
        self, from_state: ProjectState, to_state: ProjectState, questioner: MigrationQuestioner | None = None
    ) -> None:
        if isinstance(questioner, NonInteractiveMigrationQuestioner):
            questioner = Questioner(
                specified_apps=questioner.specified_apps, dry_run=questioner.dry_run, log=questioner.log
            )
        super().__init__(from_state, to_state, questioner)


class MakeMigrations(makemigrations.Command):
    autodetector = Autodetector


class Migrate(migrate.Command):
    """Django's `migrate`, which records the migration and the statement that fail."""

    migration: Migration | None = None
    statement = ""

    def migration_progress_callback(self, action: str, migration: Migration | None = None, fake: bool = False) -> None:
        super().migration_progress_callback(action, migration, fake)
        self.migration = migration if action.endswith("_start") else None

    def note(self, execute: Callable[..., Any], sql: Any, *arguments: Any) -> Any:
        try:
            return execute(sql, *arguments)
        except DatabaseError:
            self.statement = str(sql)
            raise


def run_migrate(*arguments: str, verbosity: int) -> None:
    """Run Django's `migrate`. Raise CommandError with migration, statement and reason when a statement fails."""
    command = Migrate()
    try:
        with connection.execute_wrapper(command.note):
            call_command(command, *arguments, verbosity=verbosity)
    except DatabaseError as error:
        if not command.statement:
            raise
        if verbosity:
            command.stdout.write(" FAILED")
        found = command.migration
        name = f"{found.app_label}.{found.name}" if found else ""
        # Include PostgreSQL's hint, but not the details, which hold values of rows.
        hint = getattr(getattr(error.__cause__, "diag", None), "message_hint", None)
        reason = " ".join(filter(None, [str(error).partition("\n")[0], hint]))
        atomic = found is None or found.atomic
        raise CommandError(describe_failure(name, command.statement, reason, atomic=atomic)) from error


def slice_labels() -> list[str]:
    """Return the labels of all modules of core and slices with models."""
    found = (config for config in apps.get_app_configs() if config.name.startswith("app."))
    return [config.label for config in found if config.models_module]


def last_migration(label: str) -> tuple[str, str]:
    """Return the last applied migration of a slice, and the migration before it or `zero`.

    Raise CommandError without an applied migration, or when a migration of another slice depends on it.
    """
    loader = MigrationLoader(connection)
    labels = sorted(loader.migrated_apps.intersection(slice_labels()))
    if label not in labels:
        raise CommandError(f"no slice '{label}' has migrations, only {', '.join(labels)}")
    applied = set(loader.applied_migrations)
    own = {migration for migration in applied if migration[0] == label}
    if newer := own - loader.disk_migrations.keys():
        raise CommandError(f"this code is older, and does not have {', '.join(sorted(map('.'.join, newer)))}")
    if not own:
        raise CommandError(f"the slice '{label}' has no applied migration")
    nodes = loader.graph.node_map
    last = max(migration for migration in own if own.isdisjoint(nodes[migration].children))
    if others := sorted(".".join(child.key) for child in nodes[last].children if child.key in applied):
        raise CommandError(f"{', '.join(others)} of another slice depends on {'.'.join(last)}: revert that first")
    before = [parent.key[1] for parent in nodes[last].parents if parent.key[0] == label]
    return last[1], before[0] if before else "zero"
