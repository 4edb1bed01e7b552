"""`/orders` over HTTP."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from app.db import Db, ReadingDb
from app.dependencies import CurrentPrincipal, Pagination
from app.openapi import problems
from app.orders.schemas import IdempotencyKey, OrderCreate, OrderPeriod, OrderResponse
from app.orders.service import OrderService
from app.schemas import Page
from app.types import Identifier
from app.urls import reverse
from app.users import CurrentUserId

router = APIRouter(prefix="/orders", tags=["orders"])


@router.post("", status_code=HTTPStatus.CREATED, responses=problems(404, 409))
async def place_order(
    data: OrderCreate,
    db: Db,
    user_id: CurrentUserId,
    request: Request,
    response: Response,
    *,
    idempotency_key: Annotated[IdempotencyKey | None, Header(alias="Idempotency-Key")] = None,
) -> OrderResponse:
    """Order. Sent again with the same key, it is the same order."""
    order = await OrderService(db).place(user_id, data, idempotency_key)
    response.headers["Location"] = reverse(request, "get_order", order_id=order.id)
    return OrderResponse.model_validate(order)


@router.get("")
async def list_orders(
    db: ReadingDb, user_id: CurrentUserId, period: Annotated[OrderPeriod, Query()], pagination: Pagination
) -> Page[OrderResponse]:
    """The caller's own orders, newest first."""
    orders, total = await OrderService(db).page(user_id, period, pagination)
    items = [OrderResponse.model_validate(order) for order in orders]
    return Page(items=items, page=pagination.page, size=pagination.size, total=total)


@router.get("/{order_id}", responses=problems(404))
async def get_order(
    order_id: Identifier, db: ReadingDb, principal: CurrentPrincipal, reader_id: CurrentUserId
) -> OrderResponse:
    """An order: one's own, or anybody's for administrators."""
    order = await OrderService(db).get(order_id, reader=principal, reader_id=reader_id)
    return OrderResponse.model_validate(order)
