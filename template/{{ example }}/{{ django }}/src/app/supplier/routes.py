"""Routes of `/supplier`."""

import asyncio

from ninja import Router

from app.core import ADMIN, Request, problem_responses, require_scope
from app.supplier.schemas import SupplierProducts
from app.supplier.service import SupplierService

router = Router(tags=["supplier"])


@router.get(
    "/supplier/products",
    response=SupplierProducts,
    auth=require_scope(ADMIN),
    openapi_extra=problem_responses(403, 404, 502),
)
def list_supplier_products(request: Request) -> SupplierProducts:
    """List the supplier's products. Admins only."""
    return SupplierProducts(items=asyncio.run(SupplierService().products()))
