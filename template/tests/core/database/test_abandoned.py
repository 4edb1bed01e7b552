"""A test run drops the databases of killed runs."""

from urllib.parse import urlsplit

import pytest

from app.core.config import ABOUT
from app.core.testing import Execute
from tests.core.fixtures import drop_abandoned


@pytest.mark.slow
def test_databases_of_killed_runs_are_dropped(execute: Execute, database_url: str) -> None:
    """The database of this run and databases with similar names are kept."""
    killed, other = f"{ABOUT.name}_gw0_00000000", f"{ABOUT.name}_gw0_backup00"
    for name in (killed, other):
        execute(f'CREATE DATABASE "{name}"')
    try:
        drop_abandoned(execute)
        found = set(execute("SELECT datname FROM pg_database"))
    finally:
        execute(f'DROP DATABASE IF EXISTS "{other}"')
    assert killed not in found
    assert {other, urlsplit(database_url).path[1:]} <= found
