"""`/supplier` over HTTP."""

import asyncio

from ninja import Router

from app.dependencies import administrator
from app.openapi import problems
from app.requests import Request
from app.supplier.schemas import SupplierProducts
from app.supplier.service import SupplierService

router = Router(tags=["supplier"])


@router.get("/supplier/products", response=SupplierProducts, auth=administrator, openapi_extra=problems(403, 404, 502))
def list_supplier_products(request: Request) -> SupplierProducts:
    """All that the supplier sells. For administrators."""
    return SupplierProducts(items=asyncio.run(SupplierService().products()))
