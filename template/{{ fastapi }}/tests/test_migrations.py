"""The migrations make exactly the tables that the models describe, and can be taken back."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.__main__ import BRANCH, alembic_config, main, missing_migrations, upgrade


async def run(connection: AsyncConnection, command: Callable[..., object], *arguments: str) -> None:
    """Run an Alembic command on the test's connection, whose transaction takes it back afterwards."""

    def call(sync_connection: Any) -> None:
        config = alembic_config()
        config.attributes["connection"] = sync_connection
        command(config, *arguments)

    await connection.run_sync(call)


async def tables(connection: AsyncConnection) -> set[str]:
    return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def test_models_and_migrations_agree(connection: AsyncConnection) -> None:
    from alembic import command  # not where tests are only collected: it takes half a second

    await run(connection, command.check)


@pytest.mark.slow
async def test_every_migration_can_be_taken_back(connection: AsyncConnection) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(alembic_config())
    [first] = [base for base in script.get_bases() if BRANCH in script.get_revision(base).branch_labels]
    before = await tables(connection)
    # What was the last to come is the first to go: the service's own.
    if script.get_revision(f"{BRANCH}@head").revision != first:
        await run(connection, command.downgrade, first)
    await run(connection, command.downgrade, "base")
    assert await tables(connection) == {"alembic_version"}
    await run(connection, upgrade)
    assert await tables(connection) == before
    await run(connection, command.check)


def test_own_migrations_come_after_those_of_the_features(monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    upgraded: list[str] = []
    monkeypatch.setattr(command, "upgrade", lambda _config, revision: upgraded.append(revision))
    config = alembic_config()
    upgrade(config)
    script = ScriptDirectory.from_config(config)
    assert sorted(upgraded) == sorted(script.get_heads())
    assert script.get_revision(upgraded[-1]).branch_labels == {BRANCH}


async def test_a_release_waits_for_its_own_migrations_only(connection: AsyncConnection) -> None:
    """Of a newer release's it knows nothing, and after a rollback it starts all the same."""
    from alembic.script import ScriptDirectory

    assert await connection.run_sync(missing_migrations) == []
    await connection.execute(text("UPDATE alembic_version SET version_num = 'newer' WHERE version_num LIKE '%users'"))
    assert await connection.run_sync(missing_migrations) == []
    await connection.execute(text("DELETE FROM alembic_version"))
    revisions = ScriptDirectory.from_config(alembic_config()).walk_revisions()
    assert await connection.run_sync(missing_migrations) == sorted(revision.revision for revision in revisions)


def test_a_database_that_is_ahead_is_one_sentence(database_url: str, engine: AsyncEngine) -> None:
    async def commit(statement: str) -> None:
        async with engine.begin() as connection:
            await connection.execute(text(statement))

    asyncio.run(commit("INSERT INTO alembic_version VALUES ('0002_newer')"))
    try:
        with pytest.raises(SystemExit) as ended:
            main(["migrate"])
    finally:
        asyncio.run(commit("DELETE FROM alembic_version WHERE version_num = '0002_newer'"))
    assert str(ended.value).startswith("The migrations do not fit the database: Can't locate revision identified by ")


def test_each_branch_has_one_head() -> None:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(alembic_config())
    for base in script.get_bases():
        revision = script.get_revision(base)
        assert revision.branch_labels, f"{base} begins a branch without a label"
        for label in revision.branch_labels:
            assert len(script.get_revisions(f"{label}@head")) == 1
