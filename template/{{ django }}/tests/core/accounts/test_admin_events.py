"""Changes in the admin are security events, too."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group

from app.core.accounts.models import User
from app.core.testing import PASSWORD
from tests.core.accounts.browser import log_in, submit

type Lines = Callable[[], list[dict[str, Any]]]

ROLES = ("event", "account", "added", "removed", "admin")


@pytest.mark.slow
async def test_admin_pages_log_security_events(
    committing_async_client: httpx2.AsyncClient, security_events: Lines
) -> None:
    client = committing_async_client
    root = await User.objects.acreate_superuser("root@example.com", PASSWORD)
    ada = await User.objects.acreate_user("ada@example.com", PASSWORD)
    editor = await Group.objects.acreate(name="editor")
    await log_in(client, "root@example.com", "wrong password")
    await log_in(client, "root@example.com")
    entered = [(line["event"], line["account"], line["address"]) for line in security_events()]
    assert entered == [("log-in failed", root.pk, "127.0.0.1"), ("admin log-in", root.pk, "127.0.0.1")]

    page = f"/admin/core_accounts/user/{ada.pk}/change/"
    fields = {"email": ada.email, "name": "", "is_active": "on"}
    await submit(client, page, **fields, is_superuser="on", groups=editor.pk)
    await submit(client, page, **fields, is_superuser="on", groups=editor.pk)
    await submit(client, page, **fields)
    found = [tuple(line[field] for field in ROLES) for line in security_events()]
    assert found == [
        ("roles changed", ada.pk, [], [], True),
        ("roles changed", ada.pk, ["editor"], [], True),
        ("roles changed", ada.pk, [], [], False),
        ("roles changed", ada.pk, [], ["editor"], False),
    ]

    await sync_to_async(editor.user_set.add)(ada)
    await editor.adelete()
    found = [tuple(line[field] for field in ROLES) for line in security_events()]
    assert found == [
        ("roles changed", ada.pk, ["editor"], [], False),
        ("roles changed", ada.pk, [], ["editor"], False),
    ]
