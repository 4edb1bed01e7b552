"""Warnings about operations of a new migration that lose data, or that fail on a table with rows."""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

from alembic.operations.ops import AddColumnOp, AlterColumnOp, CreateTableOp, DropColumnOp, DropTableOp, ModifyTableOps
from sqlalchemy import Dialect

from app.core.database.comparison import EnumChange


def review(operations: Iterable[Any], enums: Iterable[EnumChange], dialect: Dialect) -> Iterator[str]:
    """Yield a warning for each operation that loses data or may fail, with the code to write instead."""
    operations = list(operations)

    def columns(operation: CreateTableOp | DropTableOp) -> set[tuple[str, str]]:
        return {(column.name, column.type.compile(dialect)) for column in operation.to_table().columns}

    created = [operation for operation in operations if isinstance(operation, CreateTableOp)]
    dropped = [operation for operation in operations if isinstance(operation, DropTableOp)]
    for old, new in product(dropped, created):
        if columns(old) == columns(new):
            yield (
                f"The table {old.table_name} is dropped with its rows, and {new.table_name} is created empty. If you"
                f' renamed it, write op.rename_table("{old.table_name}", "{new.table_name}") instead,'
                " and the reverse in downgrade()."
            )
    for operation in operations:
        if isinstance(operation, ModifyTableOps):
            yield from _review_columns(operation.table_name, operation.ops, dialect)
    for change in enums:
        if change.removed:
            yield (
                f"The enum type {change.enum.name} keeps {', '.join(change.removed)}: PostgreSQL cannot remove a value."
                f" Change the rows of {change.table} that have it, or the service fails to read them."
            )


def _review_columns(table: str, operations: list[Any], dialect: Dialect) -> Iterator[str]:
    added = [operation.column for operation in operations if isinstance(operation, AddColumnOp)]
    dropped = [operation.to_column() for operation in operations if isinstance(operation, DropColumnOp)]
    for old, new in product(dropped, added):
        if old.type.compile(dialect) == new.type.compile(dialect):
            rename = f'op.alter_column("{table}", "{old.name}", new_column_name="{new.name}")'
            yield (
                f"The column {table}.{old.name} is dropped with its values, and {table}.{new.name} is added empty."
                f" If you renamed it, write {rename} instead, and the reverse in downgrade()."
            )
    for column in added:
        if not column.nullable and column.server_default is None:
            yield (
                f"The new column {table}.{column.name} is NOT NULL and has no server_default: the migration fails when"
                " the table has rows. Give the column a server_default, or write three steps: add it with"
                " nullable=True, set a value in each row by op.execute(…), then"
                f' op.alter_column("{table}", "{column.name}", nullable=False).'
            )
    for operation in operations:
        if isinstance(operation, AlterColumnOp) and operation.modify_nullable is False:
            yield (
                f"The column {table}.{operation.column_name} becomes NOT NULL: the migration fails when a row has no"
                " value. Set one in each such row first, by op.execute(…)."
            )
