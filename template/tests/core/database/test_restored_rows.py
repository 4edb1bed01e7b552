"""Tests with commits keep the rows that migrations insert."""

from collections.abc import Iterator

import pytest

from app.core.testing import Execute


@pytest.fixture(scope="session")
def filled() -> bool:
    return True


@pytest.fixture
def rows_stay(database_url: str, migrated_table: str, sql: Execute) -> Iterator[None]:
    before = sql(f"SELECT count(*) FROM {migrated_table}")
    assert before != [0]
    yield
    assert sql(f"SELECT count(*) FROM {migrated_table}") == before


@pytest.mark.slow
def test_rows_of_migrations_are_restored(
    rows_stay: None, committed_database: str, migrated_table: str, sql: Execute
) -> None:
    sql(f"DELETE FROM {migrated_table}")
