"""Routes of `/products`."""

from http import HTTPStatus

from fastapi import APIRouter, Depends, Request, Response

from app.core import ADMIN, NotFound, PathId, ReadOnly, Transaction, problem_responses, require_scope
from app.products.repository import ProductRepository
from app.products.schemas import ProductCreate, ProductResponse

public = APIRouter(prefix="/products", tags=["products"])
router = APIRouter(prefix="/products", tags=["products"])


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    responses=problem_responses(403),
    dependencies=[Depends(require_scope(ADMIN))],
)
async def create_product(
    data: ProductCreate, session: Transaction, request: Request, response: Response
) -> ProductResponse:
    """Create a product. Admins only."""
    product = await ProductRepository(session).create(data.model_dump())
    response.headers["Location"] = request.app.url_path_for("get_product", product_id=product.id)
    return ProductResponse.model_validate(product)


@public.get("/{product_id}", responses=problem_responses(404))
async def get_product(product_id: PathId, session: ReadOnly) -> ProductResponse:
    """Get a product."""
    if product := await ProductRepository(session).get(product_id):
        return ProductResponse.model_validate(product)
    raise NotFound("There is no such product.")
