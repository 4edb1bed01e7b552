from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.testing import UserFactory
from app.orders.models import Order
from app.payments.models import Event


@pytest.fixture
async def order_id(db_session: AsyncSession, user_factory: UserFactory) -> int:
    order = Order(user_id=(await user_factory()).id)
    db_session.add(order)
    await db_session.commit()
    db_session.add(Event(id="evt_1", order_id=order.id, status="ok"))
    await db_session.commit()
    return order.id


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"id": "evt_1"}, "pk_payment_events"),
        ({"id": ""}, "ck_payment_events_id_length"),
        ({"order_id": -1}, "fk_payment_events_order_id"),
        ({"status": ""}, "ck_payment_events_status_length"),
        ({"data": ""}, "ck_payment_events_data_length"),
        ({"message": ""}, "ck_payment_events_message_length"),
    ],
)
async def test_constraint_refuses_invalid_row(
    db_session: AsyncSession, order_id: int, changes: dict[str, Any], constraint: str
) -> None:
    db_session.add(Event(**{"id": "evt_2", "order_id": order_id, "status": "ok"} | changes))
    with pytest.raises(IntegrityError, match=f'"{constraint}"'):
        await db_session.flush()
