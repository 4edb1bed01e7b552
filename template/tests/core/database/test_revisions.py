"""Files and messages of `poe revision`."""

from pathlib import Path

import pytest

from app.core.database.revisions import describe_failure, report, slug


def test_revision_slug_is_made_from_message() -> None:
    assert slug(' Add "notes", and more! ') == "add_notes_and_more"
    assert slug("x" * 50) == "x" * 40


def test_report_formats_and_names_migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "notes_0001_initial.py"
    path.write_text("import os\nx = 'a'\n")
    assert report([path], ["The column is dropped."]) == "Warning: The column is dropped.\nWrote notes_0001_initial.py"
    assert path.read_text() == 'x = "a"\n'


def test_revision_without_changes_writes_nothing() -> None:
    assert report([]).startswith("Nothing to write: ")


def test_failure_names_migration_and_statement() -> None:
    assert describe_failure("notes_0002", "ALTER\n  TABLE notes", "no such column") == (
        "no such column (in the migration notes_0002, which changed nothing; statement: ALTER TABLE notes)"
    )
    assert "what it did before stays" in describe_failure("notes_0002", "ALTER", "no", atomic=False)
    assert describe_failure("", "SELECT", "no") == "no (statement: SELECT)"
