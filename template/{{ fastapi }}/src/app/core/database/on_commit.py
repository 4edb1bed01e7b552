"""Functions that are called after the commit of a session, and never after a rollback."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

from app.core.database.sessions import WriteSession

WAITING = "on_commit"


def on_commit(session: WriteSession, function: Callable[[], object]) -> None:
    """Call `function` after the commit of the transaction that is open.

    Never when the transaction is rolled back, or the savepoint that this call is made in. `function` must not raise,
    and must not block: it runs on the event loop.
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
        session.info[WAITING].clear()  # what still waits was rolled back
