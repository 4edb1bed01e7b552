"""Routes of `/products`."""

from http import HTTPStatus

from django.db import transaction
from django.http import HttpResponse
from django.urls import reverse
from ninja import Router

from app.core import ADMIN, NotFound, PathId, Request, problem_responses, require_scope
from app.products.repository import ProductRepository
from app.products.schemas import ProductCreate, ProductResponse

public = Router(tags=["products"])
router = Router(tags=["products"])


@router.post(
    "/products",
    response={HTTPStatus.CREATED: ProductResponse},
    auth=require_scope(ADMIN),
    openapi_extra=problem_responses(403),
)
@transaction.atomic
def create_product(request: Request, data: ProductCreate, response: HttpResponse) -> ProductResponse:
    """Create a product. Admins only."""
    product = ProductRepository().create(data.model_dump())
    response.headers["Location"] = reverse("api:get_product", kwargs={"product_id": product.id})
    return ProductResponse.model_validate(product)


@public.get("/products/{product_id}", response=ProductResponse, openapi_extra=problem_responses(404))
def get_product(request: Request, product_id: PathId) -> ProductResponse:
    """Get a product."""
    if product := ProductRepository().get(product_id):
        return ProductResponse.model_validate(product)
    raise NotFound("There is no such product.")
