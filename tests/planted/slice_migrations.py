"""Tests that the template plants into a rendered service: each slice keeps its migrations in its own folder.

They write, roll back and delete slices in a copy of the code, on a database with rows.
"""

from pathlib import Path

from tests.core.planted.copied import Copy, revisions

from app.core.testing import Execute


def with_rows(code: Copy, sql: Execute) -> tuple[Path, Path]:
    """Two slices with migrated tables and a row in each, the second of which refers to the first."""
    folders = code.write_slice("plums"), code.write_slice("stones", refers_to="plums")
    code.run("app", "revision", "begin")
    code.run("app", "migrate")
    code.run("app", "user", "ada@example.com", entered="correct horse battery staple\n")
    sql("INSERT INTO plums (user_id) SELECT id FROM users")
    sql("INSERT INTO stones (user_id, plums_id) SELECT user_id, id FROM plums")
    return folders


def test_revision_and_rollback_of_one_slice(code: Copy, sql: Execute) -> None:
    plums, stones = with_rows(code, sql)
    assert [name.endswith("0001_begin") for name in revisions(plums) + revisions(stones)] == [True, True]
    code.write_slice("plums", "note")
    printed = code.run("app", "revision", 'Keep \\ "notes", and """more"""')
    [second] = [name for name in revisions(plums) if name.endswith("0002_keep_notes_and_more")]
    assert printed.splitlines()[-1] == f"Wrote {Path('src/app/plums/migrations', second)}.py"
    assert len(revisions(stones)) == 1
    code.run("ruff", "format", "--check", str(plums), str(stones))
    code.run("ruff", "check", str(plums), str(stones))
    code.run("app", "migrate")
    assert sql("SELECT count(*) FROM plums WHERE note IS NULL") == [1]
    printed = code.run("app", "revision", "again")
    assert printed.splitlines()[-1] == "Nothing to write: the migrations make what the models describe."
    assert len(revisions(plums) + revisions(stones)) == 3

    def rollback(name: str, *, fails: bool = False) -> str:
        [line] = code.run("app", "rollback", name, fails=fails).splitlines()
        return line.partition(" (see")[0]

    assert rollback("plums").endswith("0002_keep_notes_and_more.")
    assert sql("SELECT count(*) FROM plums JOIN stones ON plums_id = plums.id") == [1]
    refused = rollback("plums", fails=True)
    assert refused.startswith("Nothing was reverted: stones")
    assert refused.endswith("0001_begin: revert that first")
    assert rollback("stones").endswith("0001_begin.")
    assert rollback("plums").endswith("0001_begin.")
    assert rollback("plums", fails=True) == "Nothing was reverted: the slice 'plums' has no applied migration"
    assert rollback("pears", fails=True).startswith("Nothing was reverted: no slice 'pears' has migrations, only ")
    assert sql("SELECT count(*) FROM users") == [1]
    code.run("app", "migrate")
    assert sql("SELECT count(*) FROM plums WHERE note IS NULL") == [0]


def test_deleted_slice_keeps_others_and_can_return(code: Copy, sql: Execute) -> None:
    _, stones = with_rows(code, sql)
    kept = stones.parent.rename(code.path / "stones")
    code.run("app", "wait", "--seconds", "0")
    code.run("app", "migrate")
    code.write_slice("plums", "note")
    printed = code.run("app", "revision", "note")
    assert len([line for line in printed.splitlines() if line.startswith("Wrote ")]) == 1, "and nothing is dropped"
    code.run("app", "migrate")
    code.run("app", "rollback", "plums")
    assert sql("SELECT count(*) FROM stones JOIN plums ON plums_id = plums.id") == [1]
    kept.rename(stones.parent)
    code.run("app", "migrate")
    assert sql("SELECT count(*) FROM stones JOIN plums ON plums_id = plums.id") == [1]
    code.run("app", "rollback", "stones")


def test_slice_that_needs_a_deleted_one_is_one_sentence(code: Copy) -> None:
    code.write_slice("plums")
    code.write_slice("stones", refers_to="plums")
    code.run("app", "revision", "begin")
    code.delete_slice("plums")
    [line] = code.run("app", "migrate", fails=True).splitlines()
    assert "stones" in line
    assert "plums" in line


def test_wait_ends_if_the_database_is_newer_than_the_code(code: Copy, sql: Execute) -> None:
    plums, _ = with_rows(code, sql)
    code.write_slice("plums", "note")
    code.run("app", "revision", "note")
    code.run("app", "migrate")
    [newer] = plums.glob("*0002_note.py")
    newer.unlink()
    code.write_slice("plums")
    code.run("app", "wait", "--seconds", "0")
    refused = code.run("app", "rollback", "plums", fails=True)
    assert refused.startswith("Nothing was reverted: this code is older, and does not have plums")
    assert sql("SELECT count(*) FROM plums WHERE note IS NULL") == [1]
