"""What the service asks its supplier for."""

from app.core import NotFound
from app.supplier.schemas import SupplierProduct
from app.supplier.settings import Settings


class SupplierService:
    """What the supplier sells."""

    async def products(self) -> list[SupplierProduct]:
        """All of its products. NotFound where there is no supplier; for the rest see `fetch_products`."""
        url = Settings.current().supplier_url
        if url is None:
            raise NotFound("This service has no supplier: SUPPLIER_URL is not set.")
        from app.supplier.client import fetch_products  # noqa: PLC0415 -- a tenth of a second, for who has a supplier

        return await fetch_products(str(url))
