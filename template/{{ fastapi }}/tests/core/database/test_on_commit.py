"""`on_commit` in transactions, savepoints and rollbacks."""

import pytest

from app.core.database.on_commit import on_commit
from app.core.database.sessions import WriteSession


@pytest.fixture
def called() -> list[str]:
    return []


async def test_on_commit_functions_run_once_after_commit(db_session: WriteSession, called: list[str]) -> None:
    async with db_session.begin():
        on_commit(db_session, lambda: called.append("first"))
        on_commit(db_session, lambda: called.append("second"))
        assert called == []
    assert called == ["first", "second"]
    async with db_session.begin():
        pass
    assert called == ["first", "second"]


async def test_rollback_discards_on_commit_functions(db_session: WriteSession, called: list[str]) -> None:
    async with db_session.begin() as transaction:
        on_commit(db_session, lambda: called.append("never"))
        await transaction.rollback()
    async with db_session.begin():
        on_commit(db_session, lambda: called.append("later"))
    assert called == ["later"]


async def test_closed_session_discards_on_commit_functions(db_session: WriteSession, called: list[str]) -> None:
    await db_session.begin()
    on_commit(db_session, lambda: called.append("never"))
    await db_session.close()
    async with db_session.begin():
        pass
    assert called == []


async def test_savepoint_functions_run_after_outer_commit(db_session: WriteSession, called: list[str]) -> None:
    async with db_session.begin():
        async with db_session.begin_nested(), db_session.begin_nested():
            on_commit(db_session, lambda: called.append("kept"))
        async with db_session.begin_nested() as savepoint:
            async with db_session.begin_nested():
                on_commit(db_session, lambda: called.append("never"))
            await savepoint.rollback()
        assert called == []
    assert called == ["kept"]
