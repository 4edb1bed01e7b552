"""A plugin for Alembic's autogenerate: compares CHECK constraints and enum values, which Alembic does not."""

import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import (
    AddColumnOp,
    AlterColumnOp,
    CreateCheckConstraintOp,
    CreateTableOp,
    DropConstraintOp,
    ExecuteSQLOp,
    MigrateOperation,
    ModifyTableOps,
    UpgradeOps,
)
from alembic.runtime.plugins import Plugin
from alembic.util import CommandError, DispatchPriority, PriorityDispatchResult
from sqlalchemy import ARRAY, CheckConstraint, Column, Connection, Enum, MetaData, Table, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.elements import conv
from sqlalchemy.types import TypeDecorator, TypeEngine

from app.core.database.migrations import reason

PLUGIN = "app.core.database.comparison"

CHECKS = text(
    "SELECT conname AS name, pg_get_expr(conbin, conrelid) AS condition FROM pg_constraint"
    " WHERE contype = 'c' AND conrelid = to_regclass(:name)"
)
"""Uses `pg_get_expr`, because `pg_get_constraintdef` adds NOT VALID until the constraint is validated."""

ENUMS = text(
    "SELECT typname AS name, array_agg(enumlabel::text ORDER BY enumsortorder) AS labels"
    " FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid WHERE pg_type_is_visible(enumtypid) GROUP BY typname"
)

BIND = re.compile(r"(?<![:\w$\\]):(?=[\w$]+(?![:\w$]))")
"""A colon that SQLAlchemy's `text` would parse as the start of a bind parameter."""


class EnumChange(NamedTuple):
    """An enum of a model that differs from the type in the database. `stored` is empty for a missing type."""

    enum: Enum
    table: str
    """A table with a column of this type, for the migration and for warnings."""
    stored: list[str]

    @property
    def removed(self) -> list[str]:
        return [value for value in self.stored if value not in self.enum.enums]


class TypeOp(ExecuteSQLOp):
    """A statement about a type, written into the migration of the slice that owns `table_name`."""

    def __init__(self, table_name: str, statement: str, undo: str) -> None:
        super().__init__(BIND.sub(r"\\:", statement))
        self.table_name = table_name
        self._statement, self._undo = statement, undo

    def reverse(self) -> MigrateOperation:
        if not self._undo:  # PostgreSQL cannot remove a value; a new value does not break earlier models
            return ModifyTableOps(self.table_name, [])
        return TypeOp(self.table_name, self._undo, self._statement)


def compare_checks(
    context: AutogenContext,
    changes: ModifyTableOps,
    _schema: str | None,
    name: str,
    stored: Table | None,
    table: Table | None,
) -> PriorityDispatchResult:
    """Add operations for CHECK constraints that differ between the table and its model. Compares PostgreSQL's text."""
    connection = context.connection
    if stored is None or table is None or connection is None:
        return PriorityDispatchResult.CONTINUE
    before = _checks(connection, table)
    after = _checks_of_model(connection, table)
    dropped = [check for check in before if before[check] != after.get(check)]
    created = [check for check in after if before.get(check) != after[check]]
    new_columns = {change.column.name for change in changes.ops if isinstance(change, AddColumnOp)}
    checks = (constraint for constraint in table.constraints if isinstance(constraint, CheckConstraint))
    by_name = {_final_name(connection, check): check for check in checks}

    def operation(check: str, condition: str) -> CreateCheckConstraintOp:
        # Escape twice: once for `text` here, and once for `text` in the written file.
        return CreateCheckConstraintOp(conv(check), name, text(BIND.sub(r"\\\\:", condition)))

    # Drop constraints first and create them last, because PostgreSQL drops the constraints of a dropped column, and a
    # constraint may need a new column.
    changes.ops[:0] = [
        DropConstraintOp(conv(check), name, "check", _reverse=operation(check, before[check])) for check in dropped
    ]
    changes.ops += [
        operation(check, context.migration_context.impl.render_ddl_sql_expr(by_name[check].sqltext))
        for check in created
        if not _comes_with_column(by_name[check], new_columns)
    ]
    return PriorityDispatchResult.CONTINUE


def compare_enums(context: AutogenContext, upgrade: UpgradeOps) -> PriorityDispatchResult:
    """Add operations that create each new enum type before its first column, and add new values to existing types.

    The statements are explicit, so that a migration can be reverted: Alembic creates a type with its table, and never
    drops the type.
    """
    if context.connection is None or not isinstance(context.metadata, MetaData):
        return PriorityDispatchResult.CONTINUE
    for change in enum_changes(context.connection, context.metadata):
        statements = list(_statements(context.connection, change))
        place = next(
            (place for place, operation in enumerate(upgrade.ops) if _uses(operation, change.enum)), len(upgrade.ops)
        )
        table = getattr(upgrade.ops[place], "table_name", "") if place < len(upgrade.ops) else change.table
        upgrade.ops[place:place] = [TypeOp(table, *statement) for statement in statements]
    return PriorityDispatchResult.CONTINUE


def enum_changes(connection: Connection, metadata: MetaData) -> list[EnumChange]:
    """Return the enums of the models that are missing in the database, or have different values there."""
    stored: dict[str, list[str]] = {row.name: row.labels for row in connection.execute(ENUMS)}
    found: dict[str, EnumChange] = {}
    for table in metadata.sorted_tables:
        for column in table.columns:
            if (enum := native_enum(column.type)) and enum.name and enum.enums != stored.get(enum.name):
                found.setdefault(enum.name, EnumChange(enum, table.name, stored.get(enum.name, [])))
    return list(found.values())


def native_enum(kind: TypeEngine[Any]) -> Enum | None:
    """Return the PostgreSQL enum of a column type or of its array items, or None."""
    kind = _undecorated(kind)
    kind = _undecorated(kind.item_type) if isinstance(kind, ARRAY) else kind
    return kind if isinstance(kind, Enum) and kind.native_enum else None


def render_item(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """Render an enum with `create_type=False`, because `compare_enums` adds a statement that creates the type."""
    if kind == "type" and not isinstance(_undecorated(item), ARRAY) and (enum := native_enum(item)):
        return f"sa.Enum({', '.join(map(repr, enum.enums))}, name={enum.name!r}, create_type=False)"
    return False


def _statements(connection: Connection, change: EnumChange) -> Iterator[tuple[str, str]]:
    """Yield pairs of SQL statements. The first changes the type to the values of the model, the second reverts that."""
    name = connection.dialect.identifier_preparer.quote(change.enum.name or "")
    values = [_literal(value) for value in change.enum.enums]
    if not change.stored:
        yield f"CREATE TYPE {name} AS ENUM ({', '.join(values)})", f"DROP TYPE {name}"
        return
    for place, value in enumerate(values):
        if change.enum.enums[place] not in change.stored:
            neighbour = f"AFTER {values[place - 1]}" if place else f"BEFORE {_literal(change.stored[0])}"
            yield f"ALTER TYPE {name} ADD VALUE IF NOT EXISTS {value} {neighbour}", ""


def _undecorated(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    return kind.impl_instance if isinstance(kind, TypeDecorator) else kind


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _uses(operation: Any, enum: Enum) -> bool:
    """Return whether an operation creates a column of this type."""
    if isinstance(operation, ModifyTableOps):
        return any(_uses(inner, enum) for inner in operation.ops)
    kinds: list[TypeEngine[Any]] = []
    if isinstance(operation, CreateTableOp):
        kinds = [item.type for item in operation.columns if isinstance(item, Column)]
    elif isinstance(operation, AddColumnOp):
        kinds = [operation.column.type]
    elif isinstance(operation, AlterColumnOp) and operation.modify_type:
        kinds = [operation.modify_type]
    return any((used := native_enum(kind)) and used.name == enum.name for kind in kinds)


def _checks(connection: Connection, table: Table) -> dict[str, str]:
    name = connection.dialect.identifier_preparer.format_table(table)
    return {row.name: row.condition for row in connection.execute(CHECKS, {"name": name})}


def _checks_of_model(connection: Connection, table: Table) -> dict[str, str]:
    """Return the CHECK constraints of a model in PostgreSQL's text, read from a temporary table."""
    if not any(isinstance(constraint, CheckConstraint) for constraint in table.constraints):
        return {}
    # PostgreSQL looks in pg_temp first. So the constraints use temporary enums with the values of the model.
    temporary = table.to_metadata(MetaData(naming_convention=table.metadata.naming_convention), schema="pg_temp")
    enums: dict[str, Enum] = {}
    for column in temporary.columns:
        if (enum := native_enum(column.type)) and enum.name:
            own = enums.setdefault(enum.name, Enum(*enum.enums, name=enum.name, schema="pg_temp"))
            column.type = ARRAY(own) if isinstance(_undecorated(column.type), ARRAY) else own
    savepoint = connection.begin_nested()
    try:
        for enum in enums.values():
            enum.create(connection, checkfirst=False)
        connection.execute(CreateTable(temporary, include_foreign_key_constraints=[]))
        return _checks(connection, temporary)
    except SQLAlchemyError as error:
        raise CommandError(f"the CHECK constraints of '{table.name}' cannot be compared: {reason(error)}") from error
    finally:
        savepoint.rollback()


def _comes_with_column(check: CheckConstraint, new_columns: set[str]) -> bool:
    """Return whether a new column brings the constraint: an enum with `create_constraint=True`."""
    return check._type_bound and not new_columns.isdisjoint(check.columns.keys())  # noqa: SLF001 -- no public name


def _final_name(connection: Connection, check: CheckConstraint) -> str:
    """Return the name in PostgreSQL, which is cut to 63 characters."""
    preparer = connection.dialect.identifier_preparer
    return next(iter(preparer.unformat_identifiers(preparer.format_constraint(check) or "")), "")


_plugin = Plugin(PLUGIN)
_plugin.add_autogenerate_comparator(compare_checks, "table", "check_constraints", priority=DispatchPriority.LAST)
_plugin.add_autogenerate_comparator(compare_enums, "autogenerate", "enums", priority=DispatchPriority.LAST)
