"""Products: the catalogue and what is in stock.

What other slices may use is named here; nothing else of the slice is theirs to import.
"""

from typing import TYPE_CHECKING

from app.core import lazily

if TYPE_CHECKING:
    from app.products.repository import ProductRepository
    from app.products.schemas import ProductResponse
    from app.products.service import ProductService
else:
    __getattr__ = lazily(
        __name__, {"repository": ["ProductRepository"], "schemas": ["ProductResponse"], "service": ["ProductService"]}
    )

__all__ = ["ProductRepository", "ProductResponse", "ProductService"]
