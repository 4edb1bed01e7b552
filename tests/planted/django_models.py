"""Tests that the template plants into a rendered service: `poe revision` and `poe migrate` after changes of models.

The commands have no terminal, so that `makemigrations` asks no questions.
"""

from tests.core.planted.copied import Copy, last, revisions

from app.core.testing import Execute

HEAD = """
from django.db.models import CheckConstraint, IntegerField, Model, Q, TextField


class {model}(Model):
    {columns}

    class Meta:
        db_table = "plums"
        constraints = [{checks}]
"""
NOTE = "note = TextField(null=True)"


def models(*columns: str, checks: str = "", model: str = "Plum") -> str:
    return HEAD.format(columns="\n    ".join(columns) or "pass", checks=checks, model=model)


def migrate(code: Copy, text: str) -> None:
    """Write the models and their migration, and apply it."""
    code.write_text("plums", text)
    code.run("app", "revision", "change")
    code.run("app", "migrate")


def test_changed_check_constraints_are_found(code: Copy, sql: Execute) -> None:
    check = "CheckConstraint(condition=Q(price__{}=0), name='positive')"
    price = "price = IntegerField(null=True)"
    migrate(code, models(price, checks=check.format("gt")))
    sql("INSERT INTO plums (price) VALUES (1)")
    migrate(code, models(price, checks=check.format("gte")))
    assert "AddConstraint" in last(code.folder("plums"))
    sql("INSERT INTO plums (price) VALUES (0)")
    refused = code.run("app", "rollback", "plums", fails=True)
    assert refused == (
        'Nothing was reverted: check constraint "positive" of relation "plums" is violated by some row (in the'
        " migration plums.0002_change, which changed nothing; statement:"
        ' ALTER TABLE "plums" ADD CONSTRAINT "positive" CHECK ("price" > 0)) (see docs/troubleshooting.md).\n'
    )
    migrate(code, models(price))
    sql("INSERT INTO plums (price) VALUES (-1)")


def test_renamed_column_prints_a_warning(code: Copy) -> None:
    migrate(code, models(NOTE))
    code.write_text("plums", models(NOTE.replace("note", "remark")))
    printed = code.run("app", "revision", "rename")
    assert "Warning: The field plum.note is removed with its values, and plum.remark is added." in printed
    assert 'migrations.RenameField("plum", "note", "remark")' in printed
    code.write_text("plums", models(NOTE.replace("note", "remark"), model="Damson"))
    assert 'migrations.RenameModel("Plum", "Damson")' in code.run("app", "revision", "rename the model")


def test_migration_that_fails_on_rows_is_one_sentence(code: Copy, sql: Execute) -> None:
    migrate(code, models(NOTE))
    sql("INSERT INTO plums (note) VALUES (NULL)")
    code.write_text("plums", models(NOTE, "weight = IntegerField()"))
    [line] = code.run("app", "revision", "weight", fails=True).splitlines()
    assert line.startswith(
        "Nothing was written: the new field plum.weight needs a default for the rows that exist: add"
    )
    assert len(revisions(code.folder("plums"))) == 1
    code.write_text("plums", models("note = TextField()", "weight = IntegerField(null=True)"))
    assert "Warning: The field plum.note becomes NOT NULL" in code.run("app", "revision", "note")
    *_, line = code.run("app", "migrate", fails=True).splitlines()
    assert line == (
        'The migrations do not fit the database: column "note" of relation "plums" contains null values (in the'
        ' migration plums.0002_note, which changed nothing; statement: ALTER TABLE "plums" ALTER COLUMN "note"'
        " SET NOT NULL) (see docs/troubleshooting.md)."
    )
    assert sql("SELECT count(*) FROM information_schema.columns WHERE table_name = 'plums'") == [2]
    sql("UPDATE plums SET note = 'good'")
    code.run("app", "migrate")
