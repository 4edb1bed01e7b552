"""Products: the catalogue and the stock.

Other slices may import only the names of this module.
"""

from typing import TYPE_CHECKING

from app.core import lazily

if TYPE_CHECKING:
    from app.products.models import Product
    from app.products.repository import ProductRepository
    from app.products.schemas import ProductResponse
    from app.products.service import ProductService
else:
    __getattr__ = lazily(
        __name__,
        {
            "models": ["Product"],
            "repository": ["ProductRepository"],
            "schemas": ["ProductResponse"],
            "service": ["ProductService"],
        },
    )

__all__ = ["Product", "ProductRepository", "ProductResponse", "ProductService"]
