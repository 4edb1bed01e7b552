"""Routes of `/orders`."""

from http import HTTPStatus

from django.db import transaction
from django.http import HttpResponse
from django.urls import reverse
from ninja import Query, Router

from app.core import ADMIN, NotFound, Page, PathId, Request, idempotent, problem_responses, require_scope
from app.orders.models import Order
from app.orders.repository import OrderRepository
from app.orders.schemas import OrderCreate, OrderQuery, OrderResponse, SummaryLine, SummaryQuery
from app.orders.service import OrderService

router = Router(tags=["orders"])


@router.post("/orders", response={HTTPStatus.CREATED: OrderResponse}, openapi_extra=problem_responses(404, 409))
@idempotent
@transaction.atomic
def place_order(request: Request, data: OrderCreate, response: HttpResponse) -> OrderResponse:
    """Place an order. A repeated request with the same Idempotency-Key gets the response of the first."""
    order = OrderService().place(request.auth.id, data)
    response.headers["Location"] = reverse("api:get_order", kwargs={"order_id": order.id})
    return OrderResponse.model_validate(order)


@router.get("/orders", response=Page[OrderResponse])
def list_orders(request: Request, query: Query[OrderQuery]) -> Page[OrderResponse]:
    """List your orders. The newest is first."""
    orders, total = OrderRepository().page_of_user(request.auth.id, query)
    return Page[OrderResponse].of(orders, total, query)


@router.get(
    "/orders/summary", response=Page[SummaryLine], auth=require_scope(ADMIN), openapi_extra=problem_responses(403)
)
def summarize_orders(request: Request, query: Query[SummaryQuery]) -> Page[SummaryLine]:
    """Summarize orders. One row for each day and product, without cancelled orders. Admins only."""
    lines, total = OrderRepository().summary(query)
    return Page[SummaryLine].of(lines, total, query)


@router.get("/orders/{order_id}", response=OrderResponse, openapi_extra=problem_responses(404))
def get_order(request: Request, order_id: PathId) -> OrderResponse:
    """Get an order. Orders of other users are 404, unless you are an admin."""
    return OrderResponse.model_validate(_visible(request, order_id))


@router.post("/orders/{order_id}/cancel", response=OrderResponse, openapi_extra=problem_responses(404, 409))
@transaction.atomic
def cancel_order(request: Request, order_id: PathId) -> OrderResponse:
    """Cancel an order. The stock is restored. A paid or cancelled order is 409."""
    order = _visible(request, order_id)
    OrderService().cancel(order)
    order.refresh_from_db(fields=["cancelled_at"])
    return OrderResponse.model_validate(order)


def _visible(request: Request, order_id: int) -> Order:
    order = OrderRepository().find(order_id)
    # Another user's order is a 404, not a 403: a caller must not learn which orders exist.
    if order is None or (order.user_id != request.auth.id and not request.auth.is_admin):
        raise NotFound("There is no such order.")
    return order
