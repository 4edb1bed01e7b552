"""Orders: who ordered what, and whether it is paid.

What other slices may use is named here; nothing else of the slice is theirs to import.
"""

from app.orders.repository import OrderRepository

__all__ = ["OrderRepository"]
