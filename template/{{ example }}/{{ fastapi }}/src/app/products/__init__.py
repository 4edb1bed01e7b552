"""Products: the catalogue and what is in stock.

What other slices may use is named here; nothing else of the slice is theirs to import.
"""

from app.products.repository import ProductRepository
from app.products.schemas import ProductResponse
from app.products.service import ProductService

__all__ = ["ProductRepository", "ProductResponse", "ProductService"]
