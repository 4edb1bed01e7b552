"""`poe dev` applies new migrations when it reloads."""

from pathlib import Path

import pytest

from app.core.cli import reload

UNREACHABLE = "postgresql://ada@127.0.0.1:1/notes"


@pytest.mark.slow
def test_failed_migration_is_retried_at_next_reload(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reload, "PACKAGE", tmp_path)
    monkeypatch.setenv("DATABASE_TIMEOUT_SECONDS", "1")

    def fails(url: str) -> bool:
        monkeypatch.setenv("DATABASE_URL", url)
        new.apply()
        return "cannot be used" in capfd.readouterr().err

    new = reload.NewMigrations()
    assert not fails(UNREACHABLE), "no migration is new"
    (tmp_path / "notes/migrations").mkdir(parents=True)
    (tmp_path / "notes/migrations/0001_initial.py").touch()
    assert fails(UNREACHABLE)
    assert fails(UNREACHABLE), "the next reload tries again"
    assert not fails(database_url)
    assert not fails(UNREACHABLE), "no migration is new"
