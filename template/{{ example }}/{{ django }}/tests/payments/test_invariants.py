from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import IntegrityError, connection, transaction

from app.core.testing import UserFactory
from app.orders.models import Order
from app.payments.models import Event


@pytest.fixture
async def order_id(user_factory: UserFactory) -> int:
    order = await Order.objects.acreate(user_id=(await user_factory()).id)
    await Event.objects.acreate(id="evt_1", order=order, status="ok")
    return order.id


def store(**fields: Any) -> None:
    """Store an event, then check every constraint, including deferred constraints."""
    with transaction.atomic():
        Event(**fields).save(force_insert=True)
        connection.check_constraints()


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"id": "evt_1"}, "payment_events_pkey"),
        ({"id": ""}, "ck_payment_events_id_length"),
        ({"order_id": -1}, r"payment_events_order_id_\w+"),
        ({"status": ""}, "ck_payment_events_status_length"),
        ({"data": ""}, "ck_payment_events_data_length"),
        ({"message": ""}, "ck_payment_events_message_length"),
    ],
)
async def test_constraint_refuses_invalid_row(order_id: int, changes: dict[str, Any], constraint: str) -> None:
    with pytest.raises(IntegrityError, match=f'"{constraint}"'):
        await sync_to_async(store)(**{"id": "evt_2", "order_id": order_id, "status": "ok"} | changes)
