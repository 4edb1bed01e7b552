"""Routes of `/supplier`."""

from fastapi import APIRouter, Depends

from app.core import ADMIN, problem_responses, require_scope
from app.supplier.schemas import SupplierProducts
from app.supplier.service import SupplierService

router = APIRouter(prefix="/supplier", tags=["supplier"])


@router.get("/products", responses=problem_responses(403, 404, 502), dependencies=[Depends(require_scope(ADMIN))])
async def list_supplier_products() -> SupplierProducts:
    """List the supplier's products. Admins only."""
    return SupplierProducts(items=await SupplierService().products())
