"""`/products` over HTTP."""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from app.db import Db, ReadingDb
from app.dependencies import Administrator
from app.openapi import problems
from app.products.schemas import ProductCreate, ProductResponse
from app.products.service import ProductService
from app.types import Identifier
from app.urls import reverse

public = APIRouter(prefix="/products", tags=["products"])
router = APIRouter(prefix="/products", tags=["products"])


@router.post("", status_code=HTTPStatus.CREATED, responses=problems(403))
async def create_product(
    data: ProductCreate, db: Db, request: Request, response: Response, _admin: Administrator
) -> ProductResponse:
    """Bring a product into the catalogue. For administrators."""
    product = await ProductService(db).create(data)
    response.headers["Location"] = reverse(request, "get_product", product_id=product.id)
    return ProductResponse.model_validate(product)


@public.get("/{product_id}", responses=problems(404))
async def get_product(product_id: Identifier, db: ReadingDb) -> ProductResponse:
    """A product."""
    return ProductResponse.model_validate(await ProductService(db).get(product_id))
