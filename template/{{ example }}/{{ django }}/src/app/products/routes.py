"""Routes of `/products`."""

import math
from http import HTTPStatus

from django.db import transaction
from django.http import HttpResponse
from django.urls import reverse
from ninja import Query, Router, Status

from app.core import NotFound, PathId, Request, problem_responses, require_match, require_scope, tagged
from app.products.repository import ProductRepository
from app.products.roles import WRITE
from app.products.schemas import ProductCreate, ProductPage, ProductQuery, ProductResponse, ProductUpdate
from app.products.service import ProductService

public = Router(tags=["products"])
router = Router(tags=["products"], auth=require_scope(WRITE))


@public.get("/products", response=ProductPage)
def list_products(request: Request, query: Query[ProductQuery]) -> ProductPage:
    """List products. Archived products are left out."""
    products, total = ProductRepository().find(query)
    last = math.ceil(total / query.size)

    def link(number: int) -> str:
        return reverse("api:list_products", query={**request.GET.dict(), "page": number})

    return ProductPage.of(
        products,
        total,
        query,
        next=link(query.page + 1) if query.page < last else None,
        previous=link(min(query.page - 1, last)) if last and query.page > 1 else None,
    )


@router.post("/products", response={HTTPStatus.CREATED: ProductResponse}, openapi_extra=problem_responses(403))
@transaction.atomic
def create_product(request: Request, data: ProductCreate, response: HttpResponse) -> ProductResponse:
    """Create a product. Needs the scope `catalogue:write`."""
    product = ProductRepository().create(data.model_dump())
    response.headers["Location"] = reverse("api:get_product", kwargs={"product_id": product.id})
    return tagged(response, ProductResponse.model_validate(product))


@public.get("/products/{product_id}", response=ProductResponse, openapi_extra=problem_responses(404))
def get_product(request: Request, product_id: PathId, response: HttpResponse) -> ProductResponse:
    """Get a product."""
    product = ProductRepository().get(product_id)
    if product is None or product.archived_at:
        raise NotFound("There is no such product.")
    return tagged(response, ProductResponse.model_validate(product))


@router.patch("/products/{product_id}", response=ProductResponse, openapi_extra=problem_responses(403, 404, 412))
@transaction.atomic
def change_product(
    request: Request, product_id: PathId, data: ProductUpdate, response: HttpResponse
) -> ProductResponse:
    """Change a product. Needs the scope `catalogue:write`."""
    products = ProductService()
    product = products.get_for_update(product_id)
    require_match(request, ProductResponse.model_validate(product))
    products.change(product, data)
    return tagged(response, ProductResponse.model_validate(product))


@router.delete(
    "/products/{product_id}",
    response={HTTPStatus.NO_CONTENT: None},
    openapi_extra=problem_responses(403, 404, 412),
)
@transaction.atomic
def delete_product(request: Request, product_id: PathId) -> Status[None]:
    """Delete a product. A product that was ordered is archived. Needs the scope `catalogue:write`."""
    products = ProductService()
    product = products.get_for_update(product_id)
    require_match(request, ProductResponse.model_validate(product))
    products.delete(product)
    return Status(HTTPStatus.NO_CONTENT, None)
