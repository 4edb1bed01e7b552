"""Orders: their users, lines and payment.

Other slices may import only the names of this module.
"""

from app.orders.repository import OrderRepository

__all__ = ["OrderRepository"]
