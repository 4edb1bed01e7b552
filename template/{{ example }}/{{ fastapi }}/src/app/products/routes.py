"""Routes of `/products`."""

import math
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app.core import (
    NotFound,
    PathId,
    ReadOnly,
    Transaction,
    problem_responses,
    require_match,
    require_scope,
    reverse,
    tagged,
)
from app.products.repository import ProductRepository
from app.products.roles import WRITE
from app.products.schemas import ProductCreate, ProductPage, ProductQuery, ProductResponse, ProductUpdate
from app.products.service import ProductService

public = APIRouter(prefix="/products", tags=["products"])
router = APIRouter(prefix="/products", tags=["products"], dependencies=[Depends(require_scope(WRITE))])


@public.get("")
async def list_products(query: Annotated[ProductQuery, Query()], session: ReadOnly, request: Request) -> ProductPage:
    """List products. Archived products are left out."""
    products, total = await ProductRepository(session).find(query)
    last = math.ceil(total / query.size)

    def link(number: int) -> str:
        return reverse(request, "list_products", query={**request.query_params, "page": number})

    return ProductPage.of(
        products,
        total,
        query,
        next=link(query.page + 1) if query.page < last else None,
        previous=link(min(query.page - 1, last)) if last and query.page > 1 else None,
    )


@router.post("", status_code=HTTPStatus.CREATED, responses=problem_responses(403))
async def create_product(
    data: ProductCreate, session: Transaction, request: Request, response: Response
) -> ProductResponse:
    """Create a product. Needs the scope `catalogue:write`."""
    product = await ProductRepository(session).create(data.model_dump())
    response.headers["Location"] = request.url_for("get_product", product_id=product.id).path
    return tagged(response, ProductResponse.model_validate(product))


@public.get("/{product_id}", responses=problem_responses(404))
async def get_product(product_id: PathId, session: ReadOnly, response: Response) -> ProductResponse:
    """Get a product."""
    product = await ProductRepository(session).get(product_id)
    if product is None or product.archived_at:
        raise NotFound("There is no such product.")
    return tagged(response, ProductResponse.model_validate(product))


@router.patch("/{product_id}", responses=problem_responses(403, 404, 412))
async def change_product(
    product_id: PathId, data: ProductUpdate, session: Transaction, request: Request, response: Response
) -> ProductResponse:
    """Change a product. Needs the scope `catalogue:write`."""
    products = ProductService(session)
    product = await products.get_for_update(product_id)
    require_match(request, ProductResponse.model_validate(product))
    await products.change(product, data)
    return tagged(response, ProductResponse.model_validate(product))


@router.delete("/{product_id}", status_code=HTTPStatus.NO_CONTENT, responses=problem_responses(403, 404, 412))
async def delete_product(product_id: PathId, session: Transaction, request: Request) -> None:
    """Delete a product. A product that was ordered is archived. Needs the scope `catalogue:write`."""
    products = ProductService(session)
    product = await products.get_for_update(product_id)
    require_match(request, ProductResponse.model_validate(product))
    await products.delete(product)
