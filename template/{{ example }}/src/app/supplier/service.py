"""The service layer of the supplier."""

from app.core import NotFound
from app.supplier.schemas import SupplierProduct
from app.supplier.settings import Settings


class SupplierService:
    async def products(self) -> list[SupplierProduct]:
        """Return all products of the supplier. Raise NotFound without SUPPLIER_URL, and errors of `fetch_products`."""
        url = Settings.current().supplier_url
        if url is None:
            raise NotFound("This service has no supplier: SUPPLIER_URL is not set.")
        from app.supplier.client import fetch_products  # noqa: PLC0415 -- takes 0.1 s

        return await fetch_products(str(url))
