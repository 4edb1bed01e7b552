"""`poe revision`: runs Alembic's autogenerate, and splits the operations by the slice that owns the table."""

import re
from argparse import Namespace
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from alembic import command
from alembic.operations.ops import (
    CreateForeignKeyOp,
    CreateTableOp,
    MigrateOperation,
    MigrationScript,
    ModifyTableOps,
    UpgradeOps,
)
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Table

from app.core.database.base import Base
from app.core.database.comparison import enum_changes
from app.core.database.migrations import alembic_config, find_migrations
from app.core.database.review import review
from app.core.database.revisions import slug
from app.core.slices import PACKAGE, Slice, find_parts

CREATED = re.compile(r'\bcreate_table\(\s*"(\w+)"')


def write_revisions(message: str) -> tuple[list[Path], list[str]]:
    """Write a migration into each slice with changed tables. Return the files, and warnings for the developer."""
    config = alembic_config()
    config.cmd_opts = Namespace(quiet=True)  # `report` prints the names of the files
    script = ScriptDirectory.from_config(config)
    warnings: list[str] = []

    def split(context: MigrationContext, _revision: object, directives: list[MigrationScript]) -> None:
        operations = directives[0].upgrade_ops.ops if directives[0].upgrade_ops else []
        if context.connection:
            warnings.extend(review(operations, enum_changes(context.connection, Base.metadata), context.dialect))
        directives[:] = _split(operations, script, message)

    written = command.revision(config, autogenerate=True, process_revision_directives=split)
    scripts = written if isinstance(written, list) else [written]
    return [Path(script.path) for script in scripts if script], warnings


def table_owners() -> dict[str, Slice]:
    """Return the slice of each table: the slice of its model or, without a model, of the migration that creates it."""
    owners: dict[str, Slice] = {}
    parts = {f"{PACKAGE.name}.{part.name}": part for part in find_parts()}
    for part in parts.values():
        for path in (part.folder / "migrations").glob("*.py"):
            owners |= dict.fromkeys(CREATED.findall(path.read_text("utf-8")), part)
        tables = (value.name for value in vars(part.module("models") or object).values() if isinstance(value, Table))
        owners |= dict.fromkeys(tables, part)
    for mapper in Base.registry.mappers:
        words = mapper.class_.__module__.split(".")
        for length in (2, 3):  # `app.notes`, `app.core.accounts`
            if part_of := parts.get(".".join(words[:length])):
                owners |= {table.name: part_of for table in mapper.tables if isinstance(table, Table)}
    return owners


def _split(operations: list[MigrateOperation], script: ScriptDirectory, message: str) -> list[MigrationScript]:
    owners = table_owners()
    changes: dict[Slice, list[MigrateOperation]] = {}
    for operation in operations:
        name = getattr(operation, "table_name", "")
        if name not in owners:
            raise CommandError(f"the table '{name}' belongs to no slice: define it in models.py of one")
        changes.setdefault(owners[name], []).append(operation)
    needs = {part: {owners[name] for name in _referred(changes[part])} - {part} for part in changes}
    try:
        order = [part for part in TopologicalSorter(needs).static_order() if part in changes]
    except CycleError as error:
        names = " and ".join(sorted({part.name for part in error.args[1]}))
        raise CommandError(
            f"the tables of {names} refer to each other: add one of the foreign keys in a revision of its own"
        ) from None
    known = find_migrations(script)
    labels = {Path(script.get_revision(revision).path).parent: label for revision, label in known.items()}

    def label_of(part: Slice) -> str:
        return labels.get((part.folder / "migrations").resolve(), part.label)

    heads: dict[Slice, str] = {}
    scripts = []
    for part in order:
        own = label_of(part)
        written = sum(label == own for label in known.values())
        heads[part] = "_".join(filter(None, (own, f"{written + 1:04}", slug(message))))
        others = [heads.get(need) or script.get_revision(f"{label_of(need)}@head").revision for need in needs[part]]
        upgrade = UpgradeOps(changes[part])
        scripts.append(
            MigrationScript(
                rev_id=heads[part],
                message=" ".join(message.split()).replace("\\", "/").replace('"""', "'''"),
                upgrade_ops=upgrade,
                downgrade_ops=upgrade.reverse(),
                head=f"{own}@head" if written else "base",
                branch_label=None if written else own,
                version_path=str((part.folder / "migrations").resolve()),
                depends_on=sorted(others),
            )
        )
    return scripts


def _referred(operations: Iterable[Any]) -> set[str]:
    """Return the names of the tables that new foreign keys refer to."""
    names: set[str] = set()
    for operation in operations:
        if isinstance(operation, CreateTableOp):
            keys = Base.metadata.tables[operation.table_name].foreign_keys
            names |= {key.column.table.name for key in keys}
        elif isinstance(operation, ModifyTableOps):
            names |= {change.referent_table for change in operation.ops if isinstance(change, CreateForeignKeyOp)}
    return names
