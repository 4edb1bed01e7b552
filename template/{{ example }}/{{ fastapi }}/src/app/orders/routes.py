"""Routes of `/orders`."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app.core import (
    ADMIN,
    CurrentUser,
    IdempotentTransaction,
    LoggedIn,
    NotFound,
    Page,
    PathId,
    ReadOnly,
    ReadSession,
    Transaction,
    problem_responses,
    require_scope,
)
from app.orders.models import Order
from app.orders.repository import OrderRepository
from app.orders.schemas import OrderCreate, OrderQuery, OrderResponse, SummaryLine, SummaryQuery
from app.orders.service import OrderService

router = APIRouter(prefix="/orders", tags=["orders"])


@router.post("", status_code=HTTPStatus.CREATED, responses=problem_responses(404, 409))
async def place_order(
    data: OrderCreate, session: IdempotentTransaction, user: LoggedIn, request: Request, response: Response
) -> OrderResponse:
    """Place an order. A repeated request with the same Idempotency-Key gets the response of the first."""
    order = await OrderService(session).place(user.id, data)
    response.headers["Location"] = request.url_for("get_order", order_id=order.id).path
    return OrderResponse.model_validate(order)


@router.get("")
async def list_orders(session: ReadOnly, user: LoggedIn, query: Annotated[OrderQuery, Query()]) -> Page[OrderResponse]:
    """List your orders. The newest is first."""
    orders, total = await OrderRepository(session).page_of_user(user.id, query)
    return Page[OrderResponse].of(orders, total, query)


@router.get("/summary", responses=problem_responses(403), dependencies=[Depends(require_scope(ADMIN))])
async def summarize_orders(session: ReadOnly, query: Annotated[SummaryQuery, Query()]) -> Page[SummaryLine]:
    """Summarize orders. One row for each day and product, without cancelled orders. Admins only."""
    lines, total = await OrderRepository(session).summary(query)
    return Page[SummaryLine].of(lines, total, query)


@router.get("/{order_id}", responses=problem_responses(404))
async def get_order(order_id: PathId, session: ReadOnly, user: LoggedIn) -> OrderResponse:
    """Get an order. Orders of other users are 404, unless you are an admin."""
    return OrderResponse.model_validate(await _visible(session, order_id, user))


@router.post("/{order_id}/cancel", responses=problem_responses(404, 409))
async def cancel_order(order_id: PathId, session: Transaction, user: LoggedIn) -> OrderResponse:
    """Cancel an order. The stock is restored. A paid or cancelled order is 409."""
    order = await _visible(session, order_id, user)
    await OrderService(session).cancel(order)
    await session.refresh(order, ["cancelled_at"])
    return OrderResponse.model_validate(order)


async def _visible(session: ReadSession, order_id: int, user: CurrentUser) -> Order:
    order = await OrderRepository(session).find(id=order_id)
    # Another user's order is a 404, not a 403: a caller must not learn which orders exist.
    if order is None or (order.user_id != user.id and not user.is_admin):
        raise NotFound("There is no such order.")
    return order
