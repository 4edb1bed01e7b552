"""Tests that the template plants into a rendered service: `poe revision` and `poe migrate` after changes of models."""

import pytest
from tests.core.planted.copied import Copy, last

from app.core.testing import Execute

HEAD = """
from enum import StrEnum
from sqlalchemy import BigInteger, CheckConstraint, Enum, Identity
from sqlalchemy.orm import Mapped, mapped_column
from app.core import Base


class Colour(StrEnum):
    {values}


class Plum(Base):
    __tablename__ = "plums"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    {columns}
    __table_args__ = ({checks})
"""
NOTHING = "Nothing to write: the migrations make what the models describe."


def models(*columns: str, checks: str = "", values: str = "RED = 'RED'") -> str:
    return HEAD.format(columns="\n    ".join(columns), checks=checks, values=values)


def check(name: str, condition: str) -> str:
    return f"CheckConstraint({condition!r}, name={name!r}), "


def migrate(code: Copy, text: str) -> str:
    """Write the models and their migration, and apply it; returns what `poe revision` printed."""
    code.write_text("plums", text)
    printed = code.run("app", "revision", "change")
    code.run("app", "migrate")
    return printed


def assert_refused(sql: Execute, statement: str) -> None:
    with pytest.raises(Exception, match="violates check constraint"):
        sql(statement)


def test_changed_check_constraints_are_found(code: Copy, sql: Execute) -> None:
    """Also on added and removed columns, and with a colon, which SQLAlchemy parses as a parameter."""
    price, note = "price: Mapped[int]", "note: Mapped[str | None]"
    migrate(code, models(price, note, checks=check("positive", "price > 0")))
    sql("INSERT INTO plums (price, note) VALUES (1, 'good')")
    colon = check("form", "note <> ' \\:none' AND note::text <> 'a:b'")
    checks = check("positive", "price >= 0") + check("fit", "size < 9") + colon
    code.write_text("plums", models(price, note, "size: Mapped[int | None]", checks=checks))
    assert "New upgrade operations detected" in code.run("alembic", "check", fails=True)
    code.run("app", "revision", "change")
    code.run("app", "migrate")
    assert 'op.create_check_constraint(op.f("ck_plums_positive"), "plums", "price >= 0")' in last(code.folder("plums"))

    def assert_changed() -> None:
        sql("INSERT INTO plums (price, size) VALUES (0, 8)")
        sql("DELETE FROM plums WHERE price = 0")
        assert_refused(sql, "INSERT INTO plums (price, size) VALUES (0, 9)")
        assert_refused(sql, "INSERT INTO plums (price, note) VALUES (1, ' :none')")

    assert_changed()
    printed = migrate(code, models(price))
    assert "Warning" not in printed, "only a column of the same type may be a rename"
    sql("INSERT INTO plums (price) VALUES (-1)")
    sql("DELETE FROM plums WHERE price = -1")
    code.run("app", "rollback", "plums")
    assert_changed()
    code.run("app", "rollback", "plums")
    assert_refused(sql, "INSERT INTO plums (price) VALUES (0)")
    code.write_text("plums", models(price, checks=check("positive", "prize > 0")))
    refused = code.run("app", "revision", "misspelt", fails=True)
    assert (
        "Nothing was written: the CHECK constraints of 'plums' cannot be compared: column \"prize\" does not" in refused
    )


def test_check_constraints_of_enums_are_found(code: Copy, sql: Execute) -> None:
    """SQLAlchemy makes the constraint of an enum that is text in the database."""
    column = (
        "colour: Mapped[str | None] = mapped_column(Enum({}, name='tone', native_enum=False, create_constraint=True))"
    )
    migrate(code, models())
    migrate(code, models(column.format("'red'")))
    assert_refused(sql, "INSERT INTO plums (colour) VALUES ('blu')")
    migrate(code, models(column.format("'red', 'blu'")))
    sql("INSERT INTO plums (colour) VALUES ('blu')")
    assert code.run("app", "revision", "again").splitlines()[-1] == NOTHING


def test_renamed_column_prints_a_warning(code: Copy, sql: Execute) -> None:
    migrate(code, models("note: Mapped[str]"))
    sql("INSERT INTO plums (note) VALUES ('good')")
    code.write_text("plums", models("remark: Mapped[str]"))
    printed = code.run("app", "revision", "rename")
    assert "Warning: The column plums.note is dropped with its values, and plums.remark is added empty." in printed
    advice = 'op.alter_column("plums", "note", new_column_name="remark")'
    assert advice in printed
    path = max(code.folder("plums").glob("*.py"))
    written = path.read_text()
    begin = written.index("def upgrade")
    reverse = 'op.alter_column("plums", "remark", new_column_name="note")'
    path.write_text(f"{written[:begin]}def upgrade():\n    {advice}\n\n\ndef downgrade():\n    {reverse}\n")
    code.run("app", "migrate")
    assert sql("SELECT remark FROM plums") == ["good"]
    code.run("app", "rollback", "plums")
    assert sql("SELECT note FROM plums") == ["good"]
    code.write_text("plums", models("remark: Mapped[str]").replace('"plums"', '"damsons"'))
    printed = code.run("app", "revision", "rename the table")
    assert 'op.rename_table("plums", "damsons")' in printed


def test_migration_that_fails_on_rows_is_one_sentence(code: Copy, sql: Execute) -> None:
    migrate(code, models("note: Mapped[str | None]"))
    sql("INSERT INTO plums (note) VALUES (NULL)")
    code.write_text("plums", models("note: Mapped[str | None]", "weight: Mapped[int]"))
    printed = code.run("app", "revision", "weight")
    assert "Warning: The new column plums.weight is NOT NULL and has no server_default" in printed
    [line] = code.run("app", "migrate", fails=True).splitlines()
    assert line == (
        'The migrations do not fit the database: column "weight" of relation "plums" contains null values (in the'
        " migration plums_0002_weight, which changed nothing; statement: ALTER TABLE plums ADD COLUMN weight"
        " INTEGER NOT NULL) (see docs/troubleshooting.md)."
    )
    assert sql("SELECT count(*) FROM core_revisions WHERE revision = 'plums_0002_weight'") == [0]
    [path] = code.folder("plums").glob("*_weight.py")
    path.unlink()
    code.write_text("plums", models("note: Mapped[str]"))
    assert "Warning: The column plums.note becomes NOT NULL" in code.run("app", "revision", "note")
    [line] = code.run("app", "migrate", fails=True).splitlines()
    assert "plums_0002_note, which changed nothing; statement: ALTER TABLE plums ALTER COLUMN note SET NOT NULL" in line
    sql("UPDATE plums SET note = 'good'")
    code.run("app", "migrate")


def test_enum_migration_is_reversible_and_adds_values(code: Copy, sql: Execute) -> None:
    column = "Mapped[Colour | None]"
    migrate(code, models())
    code.write_text("plums", models(f"colour: {column}"))
    code.run("app", "revision", "colour")
    for _ in range(2):
        code.run("app", "migrate")
        sql("INSERT INTO plums (colour) VALUES ('RED')")
        code.run("app", "rollback", "plums")
        assert sql("SELECT count(*) FROM pg_type WHERE typname = 'colour'") == [0]
    code.run("app", "migrate")
    code.run("ruff", "check", str(code.folder("plums")))
    values = "PALE = 'PALE'\n    RED = 'RED'\n    DEEP = 'DEEP'"
    more = models(f"colour: {column}", checks=check("colours", "colour::text <> ''"), values=values)
    code.write_text("plums", more)
    assert "New upgrade operations detected" in code.run("alembic", "check", fails=True)
    migrate(code, more)
    assert sql("SELECT enumlabel FROM pg_enum ORDER BY enumsortorder") == ["PALE", "RED", "DEEP"]
    sql("INSERT INTO plums (colour) VALUES ('DEEP')")
    code.run("app", "rollback", "plums")
    assert code.run("app", "revision", "again").splitlines()[-1] == NOTHING, "and it was applied again"
    printed = migrate(code, models(f"colour: {column}", values="RED = 'RED'"))
    assert "Warning: The enum type colour keeps PALE, DEEP: PostgreSQL cannot remove a value." in printed
