"""Callbacks that run after the commit of a session, but not after a rollback."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

from app.core.database.sessions import WriteSession

WAITING = "on_commit"


def on_commit(session: WriteSession, function: Callable[[], object]) -> None:
    """Call `function` after the commit of the current transaction.

    `function` is not called when the transaction or the current savepoint is rolled back. It must not raise or block,
    because it runs on the event loop.
    """
    sync = session.sync_session
    if WAITING not in sync.info:
        sync.info[WAITING] = {}
        event.listen(sync, "after_commit", _committed)
        event.listen(sync, "after_transaction_end", _ended)
    _waiting_in(sync, sync.get_nested_transaction()).append(function)


def _waiting_in(session: Session, savepoint: SessionTransaction | None) -> list[Any]:
    functions: list[Any] = session.info[WAITING].setdefault(savepoint, [])
    return functions


def _committed(session: Session) -> None:
    savepoint = session.get_nested_transaction()
    functions = session.info[WAITING].pop(savepoint, [])
    if savepoint is None:
        for function in functions:
            function()
    else:
        outer = savepoint.parent
        _waiting_in(session, outer if outer is not None and outer.nested else None).extend(functions)


def _ended(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info[WAITING].clear()  # the remaining functions belong to a rollback
