"""`/supplier` over HTTP."""

from fastapi import APIRouter

from app.dependencies import Administrator
from app.openapi import problems
from app.supplier.schemas import SupplierProducts
from app.supplier.service import SupplierService

router = APIRouter(prefix="/supplier", tags=["supplier"])


@router.get("/products", responses=problems(403, 404, 502))
async def list_supplier_products(_admin: Administrator) -> SupplierProducts:
    """All that the supplier sells. For administrators."""
    return SupplierProducts(items=await SupplierService().products())
