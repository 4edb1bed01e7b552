"""What only Django has: sessions that expire, and users who are loaded."""

from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.timezone import now

from app.cleanup.jobs import sessions
from app.users import User


async def test_expired_sessions_are_deleted(db_session: BaseDatabaseWrapper) -> None:
    for days in (-1, 1):
        await Session.objects.acreate(
            session_key=f"of {days}", session_data="", expire_date=now() + timedelta(days=days)
        )
    await sync_to_async(sessions.func)(timestamp=0)
    assert [left.session_key async for left in Session.objects.all()] == ["of 1"]


@pytest.mark.parametrize(("raw", "letters"), [(False, 1), (True, 0)])
async def test_users_who_are_loaded_as_they_were_get_no_letter(
    db_session: BaseDatabaseWrapper, raw: bool, letters: int
) -> None:
    @sync_to_async
    def letters_of_all() -> int:
        with db_session.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'mail.welcome'")
            return int(cursor.fetchone()[0])

    before = await letters_of_all()  # of tests that commit
    user = User(name="Ada", email="ada@example.com", password_hash="none")
    await sync_to_async(user.save_base)(raw=raw, force_insert=True)
    assert await letters_of_all() - before == letters
