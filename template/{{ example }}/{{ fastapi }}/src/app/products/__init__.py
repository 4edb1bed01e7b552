"""Products: the catalogue and the stock.

Other slices may import only the names of this module.
"""

from app.products.models import Product
from app.products.repository import ProductRepository
from app.products.schemas import ProductResponse
from app.products.service import ProductService

__all__ = ["Product", "ProductRepository", "ProductResponse", "ProductService"]
