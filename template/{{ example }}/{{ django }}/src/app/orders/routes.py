"""`/orders` over HTTP."""

from http import HTTPStatus
from typing import Annotated

from django.http import HttpResponse
from django.urls import reverse
from ninja import Header, Query, Router

from app.openapi import problems
from app.orders.schemas import IdempotencyKey, OrderCreate, OrderPeriod, OrderResponse
from app.orders.service import OrderService
from app.pagination import Paginator
from app.requests import Request
from app.schemas import Page
from app.types import Identifier
from app.users import identified

router = Router(tags=["orders"], auth=identified)


@router.post("/orders", response={HTTPStatus.CREATED: OrderResponse}, openapi_extra=problems(404, 409))
def place_order(
    request: Request,
    data: OrderCreate,
    response: HttpResponse,
    *,
    idempotency_key: Annotated[IdempotencyKey | None, Header(alias="Idempotency-Key")] = None,
) -> OrderResponse:
    """Order. Sent again with the same key, it is the same order."""
    order = OrderService().place(request.user_id, data, idempotency_key)
    response.headers["Location"] = reverse("api:get_order", kwargs={"order_id": order.id})
    return OrderResponse.model_validate(order)


@router.get("/orders", response=Page[OrderResponse])
def list_orders(request: Request, period: Query[OrderPeriod], page: int = 1, size: int = 20) -> Page[OrderResponse]:
    """The caller's own orders, newest first."""
    paginator = Paginator(page, size)
    orders, total = OrderService().page(request.user_id, period, paginator)
    items = [OrderResponse.model_validate(order) for order in orders]
    return Page[OrderResponse](items=items, page=paginator.page, size=paginator.size, total=total)


@router.get("/orders/{order_id}", response=OrderResponse, openapi_extra=problems(404))
def get_order(request: Request, order_id: Identifier) -> OrderResponse:
    """An order: one's own, or anybody's for administrators."""
    order = OrderService().get(order_id, reader=request.auth, reader_id=request.user_id)
    return OrderResponse.model_validate(order)
