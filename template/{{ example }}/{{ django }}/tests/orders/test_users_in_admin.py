import httpx2

from app.core import User
from app.core.testing import UserFactory
from app.orders.models import Order
from tests.core.accounts.browser import log_in, submit


async def test_user_with_orders_is_protected(async_client: httpx2.AsyncClient, user_factory: UserFactory) -> None:
    await user_factory(email="root@example.com", is_superuser=True, is_staff=True)
    ada = await user_factory(name="Ada")
    await Order.objects.acreate(user=ada)
    await log_in(async_client, "root@example.com")
    users = "/admin/core_accounts/user/"
    for response in (
        await submit(async_client, f"{users}{ada.id}/delete/", post="yes"),
        await submit(async_client, users, action="delete_selected", _selected_action=ada.id, post="yes"),
    ):
        assert response.status_code == 200
        assert "protected related objects" in response.text
    assert await User.objects.filter(id=ada.id).aexists()
