import pytest


@pytest.fixture
def listener_example() -> str:
    """Lines of a `listeners.py` that a failure message proposes."""
    return """from app.core import User, WriteSession, erased, exporting


@erased.connect
async def erase(session: WriteSession, user: User) -> None:
    await session.execute(delete(Note).where(Note.user_id == user.id))


@exporting.connect
async def export(session: WriteSession, user: User) -> list[str]:
    return list(await session.scalars(select(Note.text).where(Note.user_id == user.id)))
"""
