"""Routes of `/orders`."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from app.core import (
    LoggedIn,
    NotFound,
    Page,
    Pagination,
    PathId,
    ReadOnly,
    Transaction,
    problem_responses,
)
from app.orders.repository import OrderRepository
from app.orders.schemas import IdempotencyKey, OrderCreate, OrderPeriod, OrderResponse
from app.orders.service import OrderService

router = APIRouter(prefix="/orders", tags=["orders"])


@router.post("", status_code=HTTPStatus.CREATED, responses=problem_responses(404, 409))
async def place_order(
    data: OrderCreate,
    session: Transaction,
    user: LoggedIn,
    request: Request,
    response: Response,
    *,
    idempotency_key: Annotated[IdempotencyKey | None, Header(alias="Idempotency-Key")] = None,
) -> OrderResponse:
    """Place an order. A repeated request with the same Idempotency-Key returns the first order."""
    order = await OrderService(session).place(user.id, data, idempotency_key)
    response.headers["Location"] = request.app.url_path_for("get_order", order_id=order.id)
    return OrderResponse.model_validate(order)


@router.get("")
async def list_orders(
    session: ReadOnly, user: LoggedIn, period: Annotated[OrderPeriod, Query()], pagination: Pagination
) -> Page[OrderResponse]:
    """List your orders. The newest is first."""
    orders, total = await OrderRepository(session).page_of_user(user.id, period, pagination)
    return Page[OrderResponse].of(orders, total, pagination)


@router.get("/{order_id}", responses=problem_responses(404))
async def get_order(order_id: PathId, session: ReadOnly, user: LoggedIn) -> OrderResponse:
    """Get an order. Orders of other users are 404, unless you are an admin."""
    order = await OrderRepository(session).find(id=order_id)
    # Another user's order is a 404, not a 403: a caller must not learn which orders exist.
    if order is None or (order.user_id != user.id and not user.is_admin):
        raise NotFound("There is no such order.")
    return OrderResponse.model_validate(order)
