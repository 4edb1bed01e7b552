"""Changes and warnings of `poe revision` that Alembic's autogenerate does not have."""

from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.operations import Operations
from alembic.operations.ops import (
    AddColumnOp,
    AlterColumnOp,
    CreateTableOp,
    DropColumnOp,
    DropTableOp,
    ModifyTableOps,
)
from alembic.runtime.migration import MigrationContext
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.database.base import Base
from app.core.database.comparison import PLUGIN, EnumChange, render_item
from app.core.database.review import review


class Migrator:
    """Write and apply migrations of one table, as `poe revision` and `poe migrate` do."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection

    def migrate(self, *columns: Any) -> tuple[str, str]:
        """Migrate the table to these columns and constraints; return the code of upgrade and downgrade."""
        metadata = sa.MetaData(naming_convention=Base.metadata.naming_convention)
        sa.Table("plums", metadata, *columns)
        options = {
            "autogenerate_plugins": ["alembic.autogenerate.*", PLUGIN],
            "include_name": lambda name, kind, _: kind != "table" or name == "plums",
            "target_metadata": metadata,
        }
        context = MigrationContext.configure(self.connection, opts=options)
        script = produce_migrations(context, metadata)
        assert script.upgrade_ops
        assert script.downgrade_ops
        up, down = (
            "if True:\n    " + render_python_code(operations, render_item=render_item, migration_context=context)
            for operations in (script.upgrade_ops, script.downgrade_ops)
        )
        self.run(up)
        return up, down

    def run(self, code: str) -> None:
        exec(code, {"op": Operations(MigrationContext.configure(self.connection)), "sa": sa})

    def refuses(self, **values: object) -> bool:
        """True if a CHECK constraint refuses this row. The row is rolled back."""
        table = sa.table("plums", *map(sa.column, values))
        savepoint = self.connection.begin_nested()
        try:
            self.connection.execute(sa.insert(table).values(values))
        except sa.exc.IntegrityError:
            return True
        finally:
            savepoint.rollback()
        return False

    def labels(self) -> list[str]:
        found = sa.text(
            "SELECT enumlabel FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid"
            " WHERE typname = 'colour' ORDER BY enumsortorder"
        )
        return list(self.connection.scalars(found))


@pytest.mark.slow
async def test_changed_check_constraints_are_replaced(connection: AsyncConnection) -> None:
    def change(sync: sa.Connection) -> None:
        code = Migrator(sync)

        def migrate(**checks: str) -> tuple[str, str]:
            constraints = [sa.CheckConstraint(condition, name=name) for name, condition in checks.items()]
            return code.migrate(sa.Column("price", sa.Integer), sa.Column("note", sa.Text), *constraints)

        migrate(positive="price > 0")
        assert code.refuses(price=0)
        up, down = migrate(positive="price >= 0", form=r"note <> ' \:none'")
        assert not code.refuses(price=0)
        assert code.refuses(note=" :none"), "not a parameter"
        again, _ = migrate(form=r"note != ' \:none'", positive="(price >= 0)")
        assert "op." not in again, "PostgreSQL writes both the same way"
        code.run(down)
        assert code.refuses(price=0)
        code.run(up)
        _, down = migrate()
        assert not code.refuses(price=-1)
        code.run(down)
        assert code.refuses(price=-1)
        assert code.refuses(note=" :none")

    await connection.run_sync(change)


@pytest.mark.slow
@pytest.mark.parametrize("array", [False, True])
async def test_enum_is_created_extended_and_dropped(connection: AsyncConnection, *, array: bool) -> None:
    def change(sync: sa.Connection) -> None:
        code = Migrator(sync)

        def migrate(*values: str) -> tuple[str, str]:
            kind = sa.Enum(*values, name="colour")
            colour: sa.Column[Any] = sa.Column("colour", sa.ARRAY(kind) if array else kind)
            return code.migrate(sa.Column("size", sa.Integer), *([colour] if values else []))

        migrate()
        up, down = migrate("red")
        code.run(down)
        assert code.labels() == []
        code.run(up)
        more, back = migrate("pale", "red", "it's")
        code.run(back)
        code.run(more)
        assert code.labels() == ["pale", "red", "it's"]
        again, _ = migrate("pale", "red", "it's")
        assert "op." not in again
        code.run(down)
        assert code.labels() == []

    await connection.run_sync(change)


def test_destructive_changes_print_warnings() -> None:
    def column(name: str, **options: Any) -> sa.Column[str]:
        return sa.Column(name, sa.Text, **options)

    operations = [
        ModifyTableOps(
            "plums",
            [
                AddColumnOp("plums", column("remark", nullable=False)),
                AddColumnOp("plums", sa.Column("ripe", sa.Boolean, nullable=False, server_default=sa.false())),
                AddColumnOp("plums", sa.Column("size", sa.Integer)),
                AlterColumnOp("plums", "colour", modify_nullable=False),
                DropColumnOp.from_column_and_tablename(None, "plums", column("note")),
            ],
        ),
        CreateTableOp("pears", [column("name")]),
        DropTableOp.from_table(sa.Table("apples", sa.MetaData(), column("name"))),
    ]
    enum = EnumChange(sa.Enum("red", name="colour"), "plums", ["red", "blue"])
    dialect = sa.create_mock_engine("postgresql+asyncpg://", lambda *_: None).dialect
    warnings = list(review(operations, [enum], dialect))
    for warning, begins, advises in zip(
        warnings,
        (
            "The table apples is dropped with its rows, and pears is created empty",
            "The column plums.note is dropped with its values, and plums.remark is added empty",
            "The new column plums.remark is NOT NULL and has no server_default",
            "The column plums.colour becomes NOT NULL",
            "The enum type colour keeps blue",
        ),
        (
            'op.rename_table("apples", "pears")',
            'op.alter_column("plums", "note", new_column_name="remark")',
            'op.alter_column("plums", "remark", nullable=False)',
            "op.execute(…)",
            "rows of plums",
        ),
        strict=True,
    ):
        assert warning.startswith(begins)
        assert advises in warning
