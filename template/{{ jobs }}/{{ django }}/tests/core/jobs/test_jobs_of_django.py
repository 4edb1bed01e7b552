from datetime import timedelta

from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.timezone import now

from app.core.accounts.jobs import delete_expired_sessions


async def test_expired_sessions_are_deleted(db_session: BaseDatabaseWrapper) -> None:
    for days in (-1, 1):
        await Session.objects.acreate(
            session_key=f"of {days}", session_data="", expire_date=now() + timedelta(days=days)
        )
    await sync_to_async(delete_expired_sessions.func)(timestamp=0)
    assert [left.session_key async for left in Session.objects.all()] == ["of 1"]
