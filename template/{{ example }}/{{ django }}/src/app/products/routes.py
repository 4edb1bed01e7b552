"""`/products` over HTTP."""

from http import HTTPStatus

from django.http import HttpResponse
from django.urls import reverse
from ninja import Router

from app.dependencies import administrator
from app.openapi import problems
from app.products.schemas import ProductCreate, ProductResponse
from app.products.service import ProductService
from app.requests import Request
from app.types import Identifier

public = Router(tags=["products"])
router = Router(tags=["products"])


@router.post(
    "/products", response={HTTPStatus.CREATED: ProductResponse}, auth=administrator, openapi_extra=problems(403)
)
def create_product(request: Request, data: ProductCreate, response: HttpResponse) -> ProductResponse:
    """Bring a product into the catalogue. For administrators."""
    product = ProductService().create(data)
    response.headers["Location"] = reverse("api:get_product", kwargs={"product_id": product.id})
    return ProductResponse.model_validate(product)


@public.get("/products/{product_id}", response=ProductResponse, openapi_extra=problems(404))
def get_product(request: Request, product_id: Identifier) -> ProductResponse:
    """A product."""
    return ProductResponse.model_validate(ProductService().get(product_id))
